//! The simulated file system keeps the contract where it promises, and breaks everything else.

use stdx::fs::{RealFs, Space, create_dir_durably, read, write_atomic};

use super::*;

fn path(text: &str) -> PathBuf {
    PathBuf::from(text)
}

/// What every file system does while nothing breaks.
fn check_contract(fs: &dyn Fs, root: &Path) {
    let dir = root.join("a/b");
    fs.create_dir_all(&dir).expect("made");
    fs.create_dir_all(&dir).expect("there already");
    let file = fs.create(&dir.join("f")).expect("created");
    file.write_all_at(b"abc", 2).expect("written");
    file.write_all_at(b"X", 0).expect("written");
    assert_eq!(file.len().expect("known"), 5);
    assert!(!file.is_empty().expect("known"));
    let mut buf = [9; 4];
    assert_eq!(file.read_exact_at(&mut buf, 2).expect_err("short").kind(), io::ErrorKind::UnexpectedEof);
    file.read_exact_at(&mut buf, 0).expect("read");
    assert_eq!(&buf, b"X\0ab");
    file.set_len(1).expect("cut");
    file.set_len(3).expect("extended");
    file.sync().expect("synced");
    assert_eq!(read(fs, &dir.join("f")).expect("read"), b"X\0\0");
    assert!(fs.open_read(&dir.join("f")).expect("open").write_all_at(b"x", 0).is_err(), "read-only");
    fs.rename(&dir.join("f"), &dir.join("g")).expect("renamed");
    assert!(!fs.exists(&dir.join("f")) && fs.exists(&dir.join("g")));
    fs.hard_link(&dir.join("g"), &dir.join("h")).expect("linked");
    assert_eq!(
        fs.hard_link(&dir.join("g"), &dir.join("h")).expect_err("taken").kind(),
        io::ErrorKind::AlreadyExists
    );
    fs.remove_file(&dir.join("g")).expect("removed");
    assert_eq!(read(fs, &dir.join("h")).expect("still there"), b"X\0\0");
    assert_eq!(file.len().expect("open files outlive their names"), 3);
    fs.create_dir_all(&dir.join("sub")).expect("made");
    let names: Vec<(String, bool, u64)> =
        fs.read_dir(&dir).expect("listed").into_iter().map(|e| (e.name, e.is_dir, e.len)).collect();
    assert_eq!(names, [("h".to_owned(), false, 3), ("sub".to_owned(), true, 0)]);
    for missing in [
        fs.open_read(&dir.join("no")).map(|_| ()),
        fs.remove_file(&dir.join("no")),
        fs.sync_dir(&dir.join("no")),
    ] {
        assert_eq!(missing.expect_err("not there").kind(), io::ErrorKind::NotFound);
    }
    assert_eq!(fs.create(&dir.join("no/f")).expect_err("no parent").kind(), io::ErrorKind::NotFound);
    fs.sync_dir(&dir).expect("synced");
    fs.remove_dir_all(&root.join("a")).expect("removed");
    assert!(!fs.exists(&dir));
    let held = fs.lock(&root.join("lock")).expect("free");
    assert_eq!(fs.lock(&root.join("lock")).expect_err("held").kind(), io::ErrorKind::WouldBlock);
    drop(held);
    fs.lock(&root.join("lock")).expect("free again");
    write_atomic(fs, &root.join("meta"), b"one").expect("written");
    write_atomic(fs, &root.join("meta"), b"two").expect("written");
    assert_eq!(read(fs, &root.join("meta")).expect("read"), b"two");
}

#[test]
fn the_real_and_the_simulated_file_system_do_the_same() {
    let dir = tempfile::tempdir().expect("temporary directory");
    check_contract(&RealFs, dir.path());
    check_contract(&SimFs::new(1), Path::new("/"));
}

/// All that crashes with different seeds leave of one file.
fn outcomes(fs: &SimFs, file: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..400).map(|seed| read(&fs.after_crash(seed), &path(file)).ok()).collect()
}

#[test]
fn synced_data_under_a_synced_name_survives_every_crash() {
    let fs = SimFs::new(1);
    let file = fs.create(&path("/f")).expect("created");
    file.write_all_at(b"data", 0).expect("written");
    file.sync().expect("synced");
    fs.sync_dir(&path("/")).expect("synced");
    assert_eq!(outcomes(&fs, "/f"), BTreeSet::from([Some(b"data".to_vec())]));
}

#[test]
fn unsynced_data_is_lost_kept_or_torn() {
    let fs = SimFs::new(1);
    let file = fs.create(&path("/f")).expect("created");
    file.write_all_at(b"old", 0).expect("written");
    file.sync().expect("synced");
    fs.sync_dir(&path("/")).expect("synced");
    file.write_all_at(&[b'n'; 2 * 512], 3).expect("written");
    let outcomes = outcomes(&fs, "/f");
    let all = |content: &[u8]| [b"old", content].concat();
    assert!(outcomes.contains(&Some(b"old".to_vec())), "lost");
    assert!(outcomes.contains(&Some(all(&[b'n'; 1024]))), "kept");
    let holes = outcomes.iter().flatten().filter(|content| content[3..].contains(&0)).count();
    let torn = outcomes.iter().flatten().filter(|c| c.len() > 3 && c.len() < 1027 && !c.contains(&0)).count();
    assert!(holes > 0 && torn > 3, "{holes} with holes, {torn} torn");
    assert!(
        outcomes.iter().all(|content| content.as_ref().is_some_and(|c| c.starts_with(b"old"))),
        "synced stays"
    );
}

#[test]
fn an_unsynced_name_may_be_lost_with_all_its_synced_data() {
    let fs = SimFs::new(1);
    fs.create_dir_all(&path("/d")).expect("made");
    let file = fs.create(&path("/d/f")).expect("created");
    file.write_all_at(b"data", 0).expect("written");
    file.sync().expect("synced");
    fs.sync_dir(&path("/d")).expect("synced");
    let want = BTreeSet::from([None, Some(b"data".to_vec())]);
    assert_eq!(outcomes(&fs, "/d/f"), want, "the directory itself was not synced in its parent");
    fs.sync_dir(&path("/")).expect("synced");
    assert_eq!(outcomes(&fs, "/d/f"), BTreeSet::from([Some(b"data".to_vec())]));
    fs.remove_file(&path("/d/f")).expect("removed");
    assert_eq!(outcomes(&fs, "/d/f"), want, "a removal is not durable either");
}

#[test]
fn directories_made_durably_survive_every_crash() {
    let fs = SimFs::new(1);
    for text in ["/a/b/c", "/a/d", "e/f", "g"] {
        create_dir_durably(&fs, &path(text)).expect("created");
        for seed in 0..50 {
            assert!(fs.after_crash(seed).exists(&path(text)), "{text} with seed {seed}");
        }
    }
}

#[test]
fn atomic_writes_show_the_old_content_or_the_new_after_every_step() {
    let fs = SimFs::recording(1);
    write_atomic(&fs, &path("/f"), b"old content").expect("written");
    let done = fs.op_count();
    write_atomic(&fs, &path("/f"), b"new").expect("written");
    let history = fs.history();
    let mut replay = history.replay();
    let mut seen = BTreeSet::new();
    while replay.advance() {
        for seed in 0..50 {
            let content = read(&replay.after_crash(seed), &path("/f")).ok();
            if replay.op_count() >= done {
                assert!(content.is_some(), "{} seed {seed}", replay.last_change());
            }
            seen.insert(content);
        }
    }
    assert_eq!(seen, BTreeSet::from([None, Some(b"old content".to_vec()), Some(b"new".to_vec())]));
}

#[test]
fn a_move_between_directories_never_loses_the_file() {
    let fs = SimFs::new(1);
    for dir in ["/a", "/b"] {
        fs.create_dir_all(&path(dir)).expect("made");
    }
    write_atomic(&fs, &path("/a/f"), b"data").expect("written");
    fs.sync_dir(&path("/")).expect("synced");
    fs.rename(&path("/a/f"), &path("/b/f")).expect("renamed");
    for seed in 0..200 {
        let after = fs.after_crash(seed);
        assert!(after.exists(&path("/a/f")) || after.exists(&path("/b/f")), "seed {seed}");
    }
    fs.sync_dir(&path("/a")).expect("synced");
    assert_eq!(outcomes(&fs, "/b/f"), BTreeSet::from([Some(b"data".to_vec())]));
}

#[test]
fn after_a_failed_sync_a_later_one_proves_nothing() {
    let fs = SimFs::new(3);
    let file = fs.create(&path("/f")).expect("created");
    fs.sync_dir(&path("/")).expect("synced");
    file.write_all_at(&[b'x'; 4096], 0).expect("written");
    fs.fail(OpKind::Sync, 1, Lasting::Once);
    assert_eq!(file.sync().expect_err("fails").raw_os_error(), Some(5));
    file.sync().expect("claims success");
    assert_eq!(file.len().expect("known"), 4096, "looks fine until the crash");
    let left = read(&fs.after_crash(1), &path("/f")).expect("there");
    assert!(left.len() < 4096 || left.contains(&0), "part of the data is gone");
}

#[test]
fn after_a_crash_nothing_works_until_the_restart() {
    let fs = SimFs::new(1);
    let file = fs.create(&path("/f")).expect("created");
    fs.crash_after(1);
    file.write_all_at(b"x", 0).expect("the last one");
    assert!(fs.is_crashed());
    assert!(file.write_all_at(b"y", 0).is_err() && file.sync().is_err() && file.len().is_err());
    assert!(fs.create(&path("/g")).is_err() && fs.read_dir(&path("/")).is_err());
    let after = fs.after_crash(1);
    assert!(!after.is_crashed());
    after.create(&path("/g")).expect("works again");
}

#[test]
fn a_full_disk_takes_what_fits_and_recovers_when_files_go() {
    let fs = SimFs::new(1);
    fs.limit_space(Some(10));
    let file = fs.create(&path("/f")).expect("names cost nothing");
    file.write_all_at(&[1; 8], 0).expect("fits");
    file.write_all_at(&[2; 8], 0).expect("overwriting takes no room");
    assert_eq!(file.write_all_at(&[3; 4], 8).expect_err("full").kind(), io::ErrorKind::StorageFull);
    assert_eq!((file.len().expect("known"), fs.used_bytes()), (10, 10));
    assert_eq!(file.set_len(11).expect_err("full").kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs.space(&path("/")).expect("known"), Space { free_bytes: 0, total_bytes: 10 });
    fs.remove_file(&path("/f")).expect("removed");
    assert_eq!(fs.used_bytes(), 0);
    fs.create(&path("/g")).expect("created").write_all_at(&[4; 10], 0).expect("fits now");
}

#[test]
fn the_nth_operation_of_a_kind_fails_once_or_for_good() {
    let fs = SimFs::new(1);
    let file = fs.create(&path("/f")).expect("created");
    fs.fail(OpKind::Write, 2, Lasting::Once);
    file.write_all_at(b"a", 0).expect("the first works");
    assert!(file.write_all_at(b"b", 0).is_err());
    file.write_all_at(b"c", 0).expect("the third works");
    fs.fail(OpKind::Read, 1, Lasting::Forever);
    for _ in 0..3 {
        assert!(file.read_exact_at(&mut [0], 0).is_err());
    }
    fs.heal();
    file.read_exact_at(&mut [0], 0).expect("healed");
}

#[test]
fn the_nth_operation_of_any_kind_fails_and_the_disk_fills_up_after_some() {
    let fs = SimFs::new(1);
    let file = fs.create(&path("/f")).expect("created");
    file.write_all_at(b"abc", 0).expect("written");
    assert_eq!(fs.try_count(), 2);
    fs.fail_any(2);
    file.read_exact_at(&mut [0], 0).expect("the first works");
    assert!(fs.read_dir(&path("/")).is_err());
    file.sync().expect("the third works");
    fs.fill_after(1);
    file.write_all_at(b"d", 3).expect("the last one");
    assert_eq!(file.write_all_at(b"e", 4).expect_err("full").kind(), io::ErrorKind::StorageFull);
    file.write_all_at(b"x", 0).expect("overwriting takes no room");
    fs.limit_space(None);
    file.write_all_at(b"e", 4).expect("there is room");
}

#[test]
fn a_flipped_bit_stays_flipped() {
    let fs = SimFs::new(1);
    write_atomic(&fs, &path("/f"), b"abc").expect("written");
    fs.flip_bit(&path("/f"), 8).expect("flipped");
    assert_eq!(read(&fs, &path("/f")).expect("read"), b"acc");
    assert_eq!(outcomes(&fs, "/f"), BTreeSet::from([Some(b"acc".to_vec())]));
    assert_eq!(fs.flip_bit(&path("/f"), 24).expect_err("too short").kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(fs.files(), [(path("/f"), 3)]);
}

#[test]
fn the_same_seed_leaves_the_same_files() {
    let fs = SimFs::new(1);
    for i in 0..20 {
        let file = fs.create(&path(&format!("/f{i}"))).expect("created");
        file.write_all_at(&[i; 700], u64::from(i) * 10).expect("written");
    }
    let content = |seed| {
        let after = fs.after_crash(seed);
        after
            .files()
            .into_iter()
            .map(|(path, _)| (read(&after, &path).expect("read"), path))
            .collect::<Vec<_>>()
    };
    assert_eq!(content(7), content(7));
    assert!((0..10).any(|seed| content(seed) != content(7)));
}
