//! The journal: any file is replayed, skipped or cut, and the engine works afterwards.
//!
//! The first byte says what the rest is: a whole file, or the content of a frame whose checksum is made right, so that
//! what lies behind the checksum is tried too.
#![no_main]

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use model::TenantId;
use sim::fs::SimFs;
use stdx::fs::Fs;
use storage::{Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples};
use tsdb::{Deps, Settings, Tsdb};

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/wal")).expect("made");
    let file = fs.create(Path::new("/wal/000000000001.wal")).expect("created");
    let content = if kind % 4 == 0 { bytes.to_vec() } else { framed(bytes, usize::from(*kind)) };
    file.write_all_at(&content, 0).expect("written");
    let settings = Settings { directory: PathBuf::from("/"), ..Settings::default() };
    let tsdb = Tsdb::open(settings, Deps { fs: fs.shared(), ..Deps::system() }).expect("opens");
    for tenant in tsdb.tenant_ids().into_iter().chain([TenantId::anonymous()]) {
        read_all(&*tsdb, &tenant);
    }
    tsdb.flush().expect("flushed");
    tsdb.abandon();
});

/// `KYMOWAL1`, the segment's number, and frames: mark, CRC32C of the rest, stored length, raw length, content.
fn framed(bytes: &[u8], frame_len: usize) -> Vec<u8> {
    let mut file = b"KYMOWAL1".to_vec();
    file.extend_from_slice(&1u64.to_le_bytes());
    for content in bytes.chunks(frame_len.max(16) * 16) {
        let mut rest = (content.len() as u32).to_le_bytes().to_vec();
        rest.extend_from_slice(&0u32.to_le_bytes());
        rest.extend_from_slice(content);
        file.extend_from_slice(b"\xf5KJ\n");
        file.extend_from_slice(&crc32c::crc32c(&rest).to_le_bytes());
        file.extend_from_slice(&rest);
    }
    file
}

fn read_all(tsdb: &Tsdb, tenant: &TenantId) {
    let request =
        SelectRequest { matchers: &[], start_ms: i64::MIN, end_ms: i64::MAX, hints: SelectHints::default() };
    let Ok(set) = tsdb.select(tenant, &request, &QueryContext::unlimited()) else { return };
    let mut samples = SeriesSamples::default();
    for at in 0..set.len() {
        if set.read(at, &mut samples).is_ok() {
            assert!(samples.floats.timestamps_ms.is_sorted_by(|a, b| a < b));
        }
    }
}
