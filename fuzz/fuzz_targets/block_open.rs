//! Blocks: a sound block with bytes replaced, and files that are none. Damage is set aside or reported, never a panic.
//!
//! Input: triples of a 16-bit offset and a byte to put there; if the first byte is odd, the checksum of the block's
//! directory is made right again, so that what lies behind it is tried too.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use model::TenantId;
use sim::fs::SimFs;
use sim::workload::{Settings as WorkloadSettings, Workload};
use stdx::clock::ManualClock;
use stdx::fs::Fs;
use storage::{
    Appender, LabelRequest, Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples, WriteBatch,
};
use tsdb::{Deps, Settings, Tsdb};

const NOW_MS: i64 = 1_760_000_400_000;

/// A block as the engine writes it.
static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let fs = SimFs::new(1);
    let tsdb = open(&fs);
    let mut workload =
        Workload::new(WorkloadSettings { series_count: 6, late_share: 0.0, ..WorkloadSettings::default() });
    let mut batch = WriteBatch::new();
    for _ in 0..8 {
        workload.next_batch(&mut batch);
        tsdb.append_durably(&TenantId::anonymous(), &batch).expect("written");
    }
    tsdb.flush().expect("flushed");
    tsdb.abandon();
    let (path, _) = fs
        .files()
        .into_iter()
        .find(|(path, _)| path.extension().is_some_and(|extension| extension == "block"))
        .expect("a block");
    stdx::fs::read(&fs, &path).expect("readable")
});

fn open(fs: &SimFs) -> std::sync::Arc<Tsdb> {
    let settings = Settings { directory: PathBuf::from("/"), ..Settings::default() };
    let clock = ManualClock::at(NOW_MS);
    Tsdb::open(settings, Deps { fs: fs.shared(), clock, ..Deps::system() }).expect("opens")
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let content = if kind % 8 == 7 { bytes.to_vec() } else { patched(bytes, kind % 2 == 1) };
    let fs = SimFs::new(1);
    let directory = Path::new("/tenants/anonymous");
    fs.create_dir_all(directory).expect("made");
    fs.create(&directory.join("000000000001.block"))
        .expect("created")
        .write_all_at(&content, 0)
        .expect("written");
    let tsdb = open(&fs);
    let tenant = TenantId::anonymous();
    let context = QueryContext::unlimited();
    let request =
        SelectRequest { matchers: &[], start_ms: i64::MIN, end_ms: i64::MAX, hints: SelectHints::default() };
    if let Ok(set) = tsdb.select(&tenant, &request, &context) {
        let mut samples = SeriesSamples::default();
        for at in 0..set.len() {
            let _ = set.read(at, &mut samples);
        }
    }
    let labels = LabelRequest { matcher_sets: &[], start_ms: 0, end_ms: i64::MAX, limit: 0 };
    for name in tsdb.label_names(&tenant, &labels, &context).unwrap_or_default() {
        let _ = tsdb.label_values(&tenant, &name, &labels, &context);
    }
    let _ = tsdb.compact();
    tsdb.abandon();
});

/// The end of a block: where its directory is (offset, stored length, raw length), the CRC32C of that, four bytes of
/// nothing, and the magic.
const TRAILER_BYTES: usize = 32;

fn patched(bytes: &[u8], mend: bool) -> Vec<u8> {
    let mut block = BLOCK.clone();
    for patch in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([patch[0], patch[1]]));
        // Counted from the end: that is where the directory is.
        let len = block.len();
        block[len - 1 - at % len] = patch[2];
    }
    let trailer = block.len() - TRAILER_BYTES;
    let number = |at: usize, len: usize| {
        let mut wide = [0; 8];
        wide[..len].copy_from_slice(&block[trailer + at..trailer + at + len]);
        u64::from_le_bytes(wide)
    };
    let (offset, stored) = (number(0, 8) as usize, number(8, 4) as usize);
    if mend && let Some(directory) = offset.checked_add(stored).and_then(|end| block.get(offset..end)) {
        let crc = crc32c::crc32c(directory).to_le_bytes();
        block[trailer + 16..trailer + 20].copy_from_slice(&crc);
    }
    block
}
