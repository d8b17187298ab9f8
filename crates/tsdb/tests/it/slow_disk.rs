//! A disk that is slower than the writes: requests share its syncs, and are refused once too much is waiting.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Labels, TenantId};
use parking_lot::{Condvar, Mutex};
use sim::fs::SimFs;
use stdx::clock::ManualClock;
use stdx::fs::{DirEntry, File, FileLock, Fs, Space};
use storage::{Appender, ErrorKind, WriteBatch};
use tsdb::{Deps, Settings, Tsdb};

use crate::bench::settings;

const T: i64 = 1_760_000_000_000;

/// Lets syncs through, or holds them.
#[derive(Debug, Default)]
struct Gate {
    closed: Mutex<bool>,
    moved: Condvar,
    sync_count: AtomicUsize,
}

impl Gate {
    fn set_closed(&self, closed: bool) {
        *self.closed.lock() = closed;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.closed.lock();
        while *closed {
            self.moved.wait(&mut closed);
        }
        self.sync_count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A file system whose files are synced when the gate says so.
#[derive(Debug)]
struct GatedFs(Arc<dyn Fs>, Arc<Gate>);

#[derive(Debug)]
struct GatedFile(Box<dyn File>, Arc<Gate>);

impl GatedFs {
    fn gated(&self, file: io::Result<Box<dyn File>>) -> io::Result<Box<dyn File>> {
        Ok(Box::new(GatedFile(file?, Arc::clone(&self.1))))
    }
}

impl Fs for GatedFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.gated(self.0.create(path))
    }
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.gated(self.0.open_write(path))
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.0.open_read(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.read_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.hard_link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }
    fn space(&self, path: &Path) -> Option<Space> {
        self.0.space(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        self.0.lock(path)
    }
}

impl File for GatedFile {
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

fn batch(step: i64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for number in 0..50 {
        let labels = Labels::from_pairs([("__name__", "a".to_owned()), ("n", number.to_string())]);
        let series = batch.add_series(labels.as_ref());
        batch.add_float(series, T + step, (number + step) as f64);
    }
    batch
}

#[test]
fn writes_share_syncs_and_are_refused_when_too_many_wait() {
    let (gate, tenant) = (Arc::<Gate>::default(), TenantId::anonymous());
    let fs = Arc::new(GatedFs(SimFs::new(1).shared(), Arc::clone(&gate)));
    let settings = Settings { wal_queue_bytes_max: 20_000, wal_segment_bytes_max: 1 << 20, ..settings() };
    let clock = ManualClock::at(T + 60_000);
    let tsdb = Tsdb::open(settings, Deps { fs, clock, ..Deps::system() }).expect("opened");
    tsdb.append_durably(&tenant, &batch(0)).expect("written");
    let before = gate.sync_count.load(Ordering::Relaxed);
    gate.set_closed(true);
    let mut waiting = Vec::new();
    let refused = loop {
        match tsdb.append(&tenant, &batch(1 + waiting.len() as i64)) {
            Ok(appended) => waiting.push(appended.durable),
            Err(error) => break error,
        }
        assert!(waiting.len() < 1_000, "the queue has no bound");
    };
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("the disk is slower than the writes"), "{refused}");
    let count = waiting.len();
    assert!(count > 10, "only {count} fit the queue");
    gate.set_closed(false);
    for durable in waiting {
        durable.wait().expect("durable");
    }
    // The first of them may have been on its way alone.
    let sync_count = gate.sync_count.load(Ordering::Relaxed) - before;
    assert!(sync_count <= 3, "{sync_count} syncs for {count} writes");
    tsdb.append_durably(&tenant, &batch(1_000)).expect("there is room again");
    tsdb.stop().expect("stopped");
}
