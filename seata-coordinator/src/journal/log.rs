//! The log in front of the tables: what was acknowledged and is not in them yet.
//!
//! A log lies in two files, of which one is written while the changes in the other are brought into the
//! tables. A file is overwritten from its beginning again and again, so that a flush is one of data only.
//! What a reader finds there is told apart by its generation: the tables say which one is theirs. Generations
//! begin at a random number at each opening, so that nobody who writes into a record can make up another.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use redb::StorageBackend;

pub(super) const FILE_NAMES: [&str; 2] = ["journal-0.log", "journal-1.log"];

/// Checksum of all that follows, length of the content, generation, number of the record.
const HEADER: usize = 4 + 4 + 8 + 8;
/// Records begin at multiples of this, so that one behind a damaged one is found.
const ALIGNMENT: usize = 8;
/// What a file has at first. It doubles up to a step that no flush has to wait for long.
const FIRST_LENGTH: u64 = 64 * 1024;
const LONGEST_STEP: u64 = 1024 * 1024;
/// A buffer that once became larger is not kept.
const KEPT_BUFFER: usize = 16 * 1024 * 1024;

pub(super) type Files = [Arc<dyn StorageBackend>; 2];

/// The end of the log, where records are added.
#[derive(Debug)]
pub(super) struct Log {
    files: Files,
    lengths: [u64; 2],
    generation: u64,
    sequence: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl Log {
    /// An empty log of this generation, whose first record has the number `sequence`. A file that once became
    /// longer than twice the `usual` length is cut to that.
    pub(super) fn new(files: Files, generation: u64, sequence: u64, usual: u64) -> io::Result<Self> {
        let (usual, mut lengths) = (usual.max(FIRST_LENGTH), [0; 2]);
        for (file, length) in files.iter().zip(&mut lengths) {
            *length = file.len()?;
            if *length > usual.saturating_mul(2) {
                *length = usual;
                file.set_len(usual)?;
            }
        }
        Ok(Self { files, lengths, generation, sequence, at: 0, buffer: Vec::new() })
    }

    /// How much of the current file is used.
    pub(super) fn used(&self) -> u64 {
        self.at
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of the next record.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Adds a record with what `put` appends; durable when it returns. Says how long the flush took.
    pub(super) fn append(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> io::Result<Duration> {
        self.buffer.clear();
        self.buffer.resize(HEADER, 0);
        put(&mut self.buffer);
        let content = u32::try_from(self.buffer.len() - HEADER).map_err(io::Error::other)?;
        self.buffer[4..8].copy_from_slice(&content.to_le_bytes());
        self.buffer[8..16].copy_from_slice(&self.generation.to_le_bytes());
        self.buffer[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        let checksum = crc32fast::hash(&self.buffer[4..]);
        self.buffer[..4].copy_from_slice(&checksum.to_le_bytes());
        self.buffer.resize(self.buffer.len().next_multiple_of(ALIGNMENT), 0);

        let index = file_of(self.generation);
        let end = self.at + self.buffer.len() as u64;
        self.make_room(index, end)?;
        let file = &self.files[index];
        file.write(self.at, &self.buffer)?;
        let start = Instant::now();
        file.sync_data()?;
        self.at = end;
        self.sequence += 1;
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(start.elapsed())
    }

    /// Goes on in the other file, whose records nobody needs any more.
    pub(super) fn turn(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.at = 0;
    }

    /// Real zeros, so that the blocks are there when a record comes.
    fn make_room(&mut self, index: usize, end: u64) -> io::Result<()> {
        let length = self.lengths[index];
        if end <= length {
            return Ok(());
        }
        let step = length.clamp(FIRST_LENGTH, LONGEST_STEP);
        let longer = end.next_multiple_of(FIRST_LENGTH).max(length + step);
        let file = &self.files[index];
        file.set_len(longer)?;
        let zeros = [0; 64 * 1024];
        let mut at = length;
        while at < longer {
            let count = (longer - at).min(zeros.len() as u64) as usize;
            file.write(at, &zeros[..count])?;
            at += count as u64;
        }
        self.lengths[index] = longer;
        Ok(())
    }
}

/// What stands behind the last record that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many records there were.
    pub(super) records: u64,
    /// Behind them there is the beginning of one that never was acknowledged.
    pub(super) is_torn: bool,
}

/// Why a log cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    /// The file, the offset, and what is wrong there.
    Damaged(usize, u64, &'static str),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Calls `each` with the content of every record of `generation` and of the one after it, from number
/// `sequence` on. It says `None` when a content makes no sense.
pub(super) fn read(
    files: &Files,
    generation: u64,
    sequence: u64,
    mut each: impl FnMut(&[u8]) -> Option<()>,
) -> Result<Found, ReadError> {
    let mut found = Found::default();
    let contents = [contents(&*files[0])?, contents(&*files[1])?];
    let mut end = (file_of(generation), 0);
    for generation in [generation, generation.wrapping_add(1)] {
        let index = file_of(generation);
        let bytes = &contents[index];
        let mut at = 0;
        while let Some(record) = Record::at(bytes, at).filter(|record| record.generation == generation) {
            if record.sequence != sequence + found.records {
                return Err(ReadError::Damaged(end.0, end.1, "records are missing before a later one"));
            }
            each(record.content).ok_or(ReadError::Damaged(index, at as u64, "a record makes no sense"))?;
            found.records += 1;
            at += record.length();
            end = (index, at as u64);
        }
        let later = (at + ALIGNMENT..bytes.len()).step_by(ALIGNMENT).any(|later| {
            header_generation(bytes, later) == Some(generation)
                && Record::at(bytes, later).is_some_and(|record| record.sequence > sequence + found.records)
        });
        if later {
            return Err(ReadError::Damaged(index, at as u64, "a record is damaged and later ones are not"));
        }
        found.is_torn |= header_generation(bytes, at) == Some(generation);
    }
    // Tables that went back behind a checkpoint, because it is damaged, do not know of what came after it.
    for (index, bytes) in contents.iter().enumerate() {
        if Record::at(bytes, 0).is_some_and(|first| first.sequence >= sequence + found.records) {
            return Err(ReadError::Damaged(index, 0, "the log is ahead of the tables, which are damaged"));
        }
    }
    Ok(found)
}

fn contents(file: &dyn StorageBackend) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    if length > 0 {
        file.read(0, &mut bytes)?;
    }
    Ok(bytes)
}

fn file_of(generation: u64) -> usize {
    (generation % 2) as usize
}

struct Record<'a> {
    generation: u64,
    sequence: u64,
    content: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record that begins at `at`, if it is whole.
    fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        let bytes = bytes.get(at..)?;
        let (checksum, rest) = bytes.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*rest.first_chunk::<4>()?) as usize;
        let checked = rest.get(..HEADER - 4 + length)?;
        if crc32fast::hash(checked) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let number = |from: usize| checked[from..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        Some(Self { generation: number(4)?, sequence: number(12)?, content: &checked[HEADER - 4..] })
    }

    fn length(&self) -> usize {
        (HEADER + self.content.len()).next_multiple_of(ALIGNMENT)
    }
}

/// What the header of a record at `at` would say, whole or not.
fn header_generation(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at + 8..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    const GENERATION: u64 = 1_001;
    /// Some records of `GENERATION` in the second file, some of the next one in the first, and some of the one
    /// after it over the first ones in the second.
    const RECORDS: [u64; 3] = [10, 3, 4];

    fn in_memory(bytes: &[u8]) -> Arc<dyn StorageBackend> {
        let file = InMemoryBackend::new();
        file.set_len(bytes.len() as u64).unwrap();
        file.write(0, bytes).unwrap();
        Arc::new(file)
    }

    /// Each record has a content of its own, and all have the same length.
    fn append(log: &mut Log) {
        let content = [log.sequence() as u8; 44];
        log.append(|out| out.extend_from_slice(&content)).unwrap();
    }

    fn written() -> Log {
        let mut log = Log::new([in_memory(&[]), in_memory(&[])], GENERATION, 0, 1 << 20).unwrap();
        for (index, records) in RECORDS.into_iter().enumerate() {
            if index > 0 {
                log.turn();
            }
            (0..records).for_each(|_| append(&mut log));
        }
        log
    }

    /// The first bytes of the records that are found.
    fn found(files: &Files, generation: u64, sequence: u64) -> Result<(Vec<u8>, bool), ReadError> {
        let mut contents = Vec::new();
        let found = read(files, generation, sequence, |content| {
            contents.push(content[0]);
            Some(())
        })?;
        Ok((contents, found.is_torn))
    }

    #[test]
    fn whole_records_of_an_earlier_generation_behind_the_tail_are_not_read() {
        let log = written();
        let bytes = contents(&*log.files[1]).unwrap();
        assert!(Record::at(&bytes, log.at as usize).is_some_and(|stale| stale.generation == GENERATION));
        let (later, last) = (RECORDS[0], RECORDS[0] + RECORDS[1]);
        let all: Vec<u8> = (later as u8..(last + RECORDS[2]) as u8).collect();
        assert_eq!(found(&log.files, GENERATION + 1, later).unwrap(), (all.clone(), false));
        assert_eq!(
            found(&log.files, GENERATION + 2, last).unwrap(),
            (all[RECORDS[1] as usize..].to_vec(), false)
        );
    }

    /// A write that is torn in any way leaves a mixture of a record and the stale one that it was to replace.
    #[test]
    fn a_record_torn_over_a_stale_one_is_neither() {
        let mut log = written();
        let (start, before) = (log.at as usize, contents(&*log.files[1]).unwrap());
        append(&mut log);
        let (end, after) = (log.at as usize, contents(&*log.files[1]).unwrap());
        let read = |torn: &[u8]| {
            found(&[Arc::clone(&log.files[0]), in_memory(torn)], GENERATION + 1, RECORDS[0]).unwrap().0.len()
        };
        let known = (RECORDS[1] + RECORDS[2]) as usize;
        assert_eq!((read(&before), read(&after)), (known, known + 1));
        for cut in start..=end {
            let (mut front, mut back) = (before.clone(), after.clone());
            front[start..cut].copy_from_slice(&after[start..cut]);
            back[start..cut].copy_from_slice(&before[start..cut]);
            for torn in [front, back] {
                // Where the two do not differ, nothing is torn.
                assert_eq!(read(&torn), known + usize::from(torn == after), "cut at {cut}");
            }
        }
    }

    /// A record that is missing at the end of the first file shows as soon as the second has one.
    #[test]
    fn a_record_missing_between_the_two_files_is_damage() {
        let log = written();
        let mut damaged = contents(&*log.files[0]).unwrap();
        let at = log.at as usize / RECORDS[2] as usize * (RECORDS[1] as usize - 1);
        damaged[at + HEADER] ^= 0x55;
        let found = found(&[in_memory(&damaged), Arc::clone(&log.files[1])], GENERATION + 1, RECORDS[0]);
        let Err(ReadError::Damaged(0, offset, reason)) = found else { panic!("{found:?}") };
        assert_eq!(offset, at as u64);
        assert!(reason.contains("missing"), "{reason}");
    }

    #[test]
    fn a_file_that_once_became_long_is_cut_when_it_is_opened() {
        let files = [in_memory(&[0; 1 << 20]), in_memory(&[0; 200 * 1024])];
        let mut log = Log::new(files.clone(), GENERATION, 0, 128 * 1024).unwrap();
        assert_eq!(files.each_ref().map(|file| file.len().unwrap()), [128 * 1024, 200 * 1024]);
        (0..10_000).for_each(|_| append(&mut log));
        let used = log.used();
        assert_eq!(found(&log.files, GENERATION, 0).unwrap().0.len(), 10_000);
        assert!(log.files[1].len().unwrap() < used * 2, "it grows with what is written");
    }

    #[test]
    fn a_damaged_record_is_told_from_stale_ones_behind_it() {
        let log = written();
        let bytes = contents(&*log.files[1]).unwrap();
        let length = log.at as usize / RECORDS[2] as usize;
        for record in 0..RECORDS[2] as usize {
            let mut damaged = bytes.clone();
            damaged[record * length + HEADER] ^= 0x55;
            let files = [Arc::clone(&log.files[0]), in_memory(&damaged)];
            let found = found(&files, GENERATION + 1, RECORDS[0]);
            if record + 1 == RECORDS[2] as usize {
                // Nothing tells it from one that was torn.
                assert!(matches!(found, Ok((_, true))), "{found:?}");
            } else {
                let at = (record * length) as u64;
                assert!(matches!(found, Err(ReadError::Damaged(1, offset, _)) if offset == at), "{found:?}");
            }
        }
    }
}
