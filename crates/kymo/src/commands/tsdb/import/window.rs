//! A file that is read mostly forwards, and never outside of what it holds.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use wire::prometheus_tsdb::Corrupt;

/// Read ahead at one time.
const AHEAD_BYTES: usize = 1 << 20;

/// A file, and the part of it that was read last.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    path: PathBuf,
    len: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl Window {
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (len, file) = opened.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { file, path, len, buffer: Vec::new(), start: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Exactly these bytes.
    ///
    /// # Errors
    /// Names file and place if they are not there.
    pub(super) fn get(&mut self, offset: u64, len: usize) -> anyhow::Result<&[u8]> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.len) {
            let what = format!("{len} bytes are expected, and the file ends at {},", self.len);
            return Err(self.fault(Corrupt { offset, what: what.into() }));
        }
        self.up_to(offset, len)
    }

    /// These bytes, or those that there are.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn up_to(&mut self, offset: u64, len: usize) -> anyhow::Result<&[u8]> {
        let offset = offset.min(self.len);
        let end = offset.saturating_add(len as u64).min(self.len);
        let held = self.start..self.start + self.buffer.len() as u64;
        if offset < held.start || end > held.end {
            let ahead = (len.max(AHEAD_BYTES) as u64).min(self.len - offset);
            self.buffer.resize(ahead as usize, 0);
            // If this fails, the buffer holds nothing that may be given out.
            self.start = offset;
            if let Err(error) = self.file.read_exact_at(&mut self.buffer, offset) {
                self.buffer.clear();
                return Err(error)
                    .with_context(|| format!("cannot read {} at {offset}", self.path.display()));
            }
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..from + (end - offset) as usize])
    }

    /// Names the file of a fault.
    pub(super) fn fault(&self, fault: Corrupt) -> anyhow::Error {
        anyhow::Error::new(fault).context(self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_file_or_an_error_names_the_place() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let content: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
        stdx::fs::write_atomic(stdx::fs::RealFs::shared().as_ref(), file.path(), &content).expect("written");
        let mut window = Window::open(file.path().to_owned()).expect("opened");
        for (offset, len) in [(0, 10), (1_048_570, 20), (5, 1), (2_999_990, 10), (0, 3_000_000)] {
            assert_eq!(window.get(offset, len).expect("there"), &content[offset as usize..][..len]);
        }
        assert_eq!(window.up_to(2_999_995, 10).expect("there").len(), 5);
        assert_eq!(window.up_to(9_999_995, 10).expect("there").len(), 0);
        let error = format!("{:#}", window.get(2_999_995, 10).expect_err("beyond the end"));
        assert!(error.ends_with("the file ends at 3000000, at offset 2999995"), "{error}");
        assert!(window.get(u64::MAX, 10).is_err());
    }
}
