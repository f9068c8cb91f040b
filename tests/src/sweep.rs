//! Cleaning up after a process that was killed itself.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Waits for the end of its input, which comes with ours, ends the server, and removes its directory.
const SCRIPT: &str = r#"
cat >/dev/null
if read -r pid <"$2" && kill -s "$1" "$pid"; then
    while kill -s 0 "$pid"; do sleep 0.05; done
fi
rm -rf "$3"
"#;

/// A process that outlives this one, whatever ends this one, and leaves nothing of a server behind: not its
/// process, and not its directory. Statics are never dropped, and neither is anything when a test is killed.
#[derive(Debug)]
pub struct Sweeper(Child);

impl Sweeper {
    /// The server is sent the signal; its number is in the first line of the file.
    ///
    /// # Panics
    /// When there is no shell.
    pub fn new(signal: &str, pid_file: &Path, directory: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sweep", signal]).arg(pid_file).arg(directory);
        // Ctrl-C ends the test, and not the one who cleans up after it.
        command.process_group(0);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.expect("a shell"))
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It cannot fail to be ours.
        let _ = self.0.wait();
    }
}
