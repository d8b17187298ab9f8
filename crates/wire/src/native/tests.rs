//! What is written is read, wherever the stream is cut into pieces; damage is found and its place is said.

use model::{BucketSpan, Labels, MetricType, STALE_NAN, UNKNOWN_START_MS};
use proptest::prelude::*;

use super::*;
use crate::remote_write2;

fn histogram(at: i64) -> FloatHistogram {
    FloatHistogram {
        count: at as f64 + 2.0,
        sum: if at % 5 == 4 { STALE_NAN } else { 0.5 * at as f64 },
        schema: 2,
        zero_threshold: 1e-128,
        positive_spans: vec![BucketSpan { offset: -1, length: 2 }],
        positive_buckets: vec![at as f64, 2.0],
        ..FloatHistogram::default()
    }
}

/// A stream of so many series, and what its messages are.
fn stream(series_count: i64) -> (Vec<u8>, Vec<(Kind, Vec<u8>)>) {
    let (mut writer, mut request) = (Writer::new(), Encoder::new());
    let mut bytes = Vec::new();
    for number in 0..series_count {
        let labels = Labels::from_pairs([("__name__", "a"), ("number", &*number.to_string())]);
        let floats: Vec<_> = (0..100)
            .map(|at| (at * 1_000, if at == 7 { STALE_NAN } else { 0.1 * at as f64 }, at % 3))
            .collect();
        let histograms: Vec<_> = (0..10).map(|at| (200_000 + at, histogram(at), UNKNOWN_START_MS)).collect();
        let exemplars =
            [Exemplar { labels: Labels::from_pairs([("trace", "x")]), value: 1.0, timestamp_ms: Some(5) }];
        writer.series(labels.as_ref(), &floats, &histograms, &exemplars);
        let content = SeriesContent {
            floats: &floats,
            histograms: &histograms,
            exemplars: &exemplars,
            ..Default::default()
        };
        request.series(labels.as_ref().iter(), content);
        bytes.extend(writer.take());
    }
    let metadata =
        Metadata { metric_type: MetricType::Counter, help: "helps".to_owned(), unit: String::new() };
    writer.metadata("a", &metadata);
    bytes.extend(writer.finish());
    let mut described = remote_write::encode::Encoder::new();
    described.metadata("a", &metadata);
    (bytes, vec![(Kind::Samples, request.to_bytes()), (Kind::Metadata, described.as_bytes().to_vec())])
}

fn read(bytes: &[u8], piece: usize) -> Result<Vec<(Kind, Vec<u8>)>, Damage> {
    let (mut reader, mut messages) = (Reader::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        while let Some(frame) = reader.next_frame()? {
            messages.push((frame.kind, frame.message()?));
        }
    }
    reader.finish()?;
    Ok(messages)
}

#[test]
fn what_is_written_is_read_in_pieces_of_any_size() {
    let (bytes, messages) = stream(3);
    for piece in [1, 2, 7, 100, bytes.len()] {
        assert!(read(&bytes, piece).expect("sound") == messages, "pieces of {piece} bytes");
    }
    assert_eq!(read(&Writer::new().finish(), 5).expect("an empty export is sound"), []);
}

#[test]
fn large_exports_have_many_frames_that_are_decoded_alone() {
    let (bytes, _) = stream(500);
    let messages = read(&bytes, 4_096).expect("sound");
    let samples: Vec<_> = messages.iter().filter(|(kind, _)| *kind == Kind::Samples).collect();
    assert!(samples.len() > 1, "one frame only");
    for (_, message) in samples {
        assert!(message.len() < 2 * MESSAGE_BYTES);
        let hasher = remote_write::LabelHasher::new(|| 7);
        remote_write2::decode(message, &hasher, &mut remote_write2::Ignored).expect("a request");
    }
}

#[test]
fn damage_is_named_with_its_place() {
    let (bytes, _) = stream(3);
    let first = MAGIC.len();
    let length = u32::from_le_bytes(bytes[first..first + 4].try_into().expect("four")) as usize;
    let second = first + HEADER_BYTES + length;
    let check = |change: &dyn Fn(&mut Vec<u8>), want: &str| {
        let mut damaged = bytes.clone();
        change(&mut damaged);
        let text = read(&damaged, 64).expect_err(want).to_string();
        assert_eq!(text, want);
    };
    let second_at = format!("frame 2, at byte {second} of the native export: ");
    check(&|b| b[0] = b'J', "this is no native export of Kymo: it does not begin with KYMOEXP");
    check(&|b| b.clear(), "this is no native export of Kymo: it does not begin with KYMOEXP");
    check(&|b| b[7] = b'2', "this native export is of version 2; this Kymo reads version 1");
    check(&|b| b[second + HEADER_BYTES] ^= 1, &format!("{second_at}its checksum is wrong"));
    check(&|b| b[second + 8] = 9, &format!("{second_at}its kind is 9, which does not exist"));
    check(
        &|b| b[second + 3] = 255,
        &format!(
            "{second_at}it is said to have {} bytes; 33554432 are the most",
            0xff00_0000u32 + u32::from_le_bytes([bytes[second], bytes[second + 1], bytes[second + 2], 0])
        ),
    );
    check(&|b| b.truncate(second + 3), &format!("{second_at}the export is cut off here, before its end"));
    check(&|b| b.truncate(second), &format!("{second_at}the export is cut off here, before its end"));
    let end = bytes.len();
    check(&|b| b.push(1), &format!("frame 3, at byte {end} of the native export: something follows the end"));
    check(
        &|b| drop(b.drain(first..second)),
        &format!(
            "frame 2, at byte {} of the native export: the end speaks of 2 frames; some are missing",
            end - 17 - (second - first)
        ),
    );
}

#[test]
fn families_are_known_by_the_names_of_their_series() {
    for (family, name, want) in [
        ("a", "a", true),
        ("a", "a_total", true),
        ("a", "a_bucket", true),
        ("a", "ab", false),
        ("a_b", "a_b_created", true),
        ("a", "a_b_count", false),
    ] {
        assert_eq!(is_family_of(family, name), want, "{family} {name}");
    }
}

proptest! {
    /// Whatever is flipped: it is refused, and what is handed out before is what was written.
    #[test]
    fn a_flipped_bit_is_found(at in 0usize..100_000, bit in 0u8..8, piece in 1usize..5_000) {
        let (mut bytes, messages) = stream(2);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let (mut reader, mut seen) = (Reader::new(), 0);
        let mut damage = None;
        'stream: for piece in bytes.chunks(piece) {
            reader.feed(piece);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => {
                        prop_assert!(frame.message().expect("sound") == messages[seen].1);
                        seen += 1;
                    }
                    Ok(None) => break,
                    Err(found) => {
                        damage = Some(found);
                        break 'stream;
                    }
                }
            }
        }
        prop_assert!(damage.is_some() || reader.finish().is_err());
    }
}
