//! Each submission taken apart, and what is none.

use proptest::prelude::*;

use super::*;
use crate::protobuf::Writer;

fn print(series: Result<&Series<'_>, String>) -> String {
    match series {
        Ok(s) => format!("{} {:?} {}/{} {:?} {:?}", s.metric, s.kind, s.host, s.device, s.tags, s.points),
        Err(error) => error,
    }
}

#[track_caller]
fn check(body: &str, want: &[&str]) {
    let mut got = Vec::new();
    let read = read_json(body.as_bytes(), &mut |_, series| {
        got.push(print(series));
        true
    });
    got.extend(read.err().map(|error| error.to_string()));
    assert_eq!(got, want, "{body}");
}

#[test]
fn both_versions_of_json_are_read() {
    check(
        r#"{"series":[{"metric":"system.load","points":[[1700000000,1.5],[1700000010.5,"2"],[3,null]],"tags":["env:test","up"],
            "host":"a","type":"gauge","interval":20},{"metric":"x","points":[],"type":"count","tags":null}]}"#,
        &[
            r#"system.load Gauge a/ ["env:test", "up"] [(1700000000.0, 1.5), (1700000010.5, 2.0)]"#,
            "x Count / [] []",
        ],
    );
    check(
        r#"{"series":[{"metric":"y","type":2,"points":[{"timestamp":1700000000,"value":0.7}],
            "resources":[{"name":"h","type":"host"},{"type":"device","name":"sda"},{}]}],"more":[]}"#,
        &["y Rate h/sda [] [(1700000000.0, 0.7)]"],
    );
}

#[test]
fn a_wrong_series_is_named_and_the_next_one_read() {
    check(
        r#"{"series":[{"points":[[1,1]]},{"metric":"a","points":[[null,1]]},{"metric":"b","points":[]}]}"#,
        &["it has no metric's name", "a point has no time", "b Gauge / [] []"],
    );
    let mut count = 0;
    assert!(
        read_json(br#"{"series":[{"metric":"a"},{"#, &mut |_, _| {
            count += 1;
            true
        })
        .is_err()
    );
    assert_eq!(count, 1);
    assert!(read_json(b"[]", &mut |_, _| true).is_err());
}

fn message(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.as_bytes().to_vec()
}

#[test]
fn protobuf_series_are_read() {
    let resource = message(|w| {
        w.bytes(1, b"host");
        w.bytes(2, b"a");
    });
    let point = message(|w| {
        w.double_always(1, 2.5);
        w.varint(2, 1_700_000_000);
    });
    let series = message(|w| {
        w.bytes(1, &resource);
        w.bytes(2, b"m");
        w.bytes(3, b"x:y");
        w.bytes(4, &point);
        w.varint(5, 1);
    });
    let nameless = message(|w| w.bytes(3, b"x:y"));
    let body = message(|w| {
        w.bytes(1, &series);
        w.bytes(1, &nameless);
    });
    let mut got = Vec::new();
    read_protobuf(&body, &mut |_, series| {
        got.push(print(series));
        true
    })
    .expect("sound");
    assert_eq!(got, [r#"m Count a/ ["x:y"] [(1700000000.0, 2.5)]"#, "it has no metric's name"]);
    assert!(read_protobuf(&body[..body.len() - 1], &mut |_, _| true).is_err());
}

#[test]
fn sketches_are_read() {
    let dogsketch = message(|w| {
        w.varint(1, 1_700_000_000);
        w.varint(2, 3);
        w.double_always(6, 3.0);
        w.bytes(7, &[0, 0xf4, 0x14]);
        w.bytes(8, &[1, 2]);
    });
    let sketch = message(|w| {
        w.bytes(1, b"latency");
        w.bytes(2, b"a");
        w.bytes(4, b"x:y");
        w.bytes(7, &dogsketch);
    });
    let body = message(|w| w.bytes(1, &sketch));
    let mut seen = 0;
    read_sketches(&body, |_, sketch| {
        let sketch = sketch.expect("sound");
        assert_eq!((sketch.metric, sketch.host, sketch.tags.as_slice()), ("latency", "a", &["x:y"][..]));
        let point = &sketch.points[0];
        assert_eq!((point.count, point.sum), (3.0, 3.0));
        assert_eq!(point.bins, [(0.0, 1.0), (1.0, 2.0)]);
        seen += 1;
        true
    })
    .expect("sound");
    assert_eq!(seen, 1);
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(json in "[\\[{}\\]\",:a1.seriesmetcpon]{0,60}", bytes: Vec<u8>) {
        for body in [json.as_bytes(), &bytes] {
            let _ = read_json(body, &mut |_, _| true);
            let _ = read_protobuf(body, &mut |_, _| true);
            let _ = read_sketches(body, |_, _| true);
        }
    }
}
