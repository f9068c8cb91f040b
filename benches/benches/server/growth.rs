pub(crate) fn run(_: &crate::options::Options) {}
