//! Noticing changes in directories: one watch of the system for all who wait, however many jobs read files.
//!
//! Why one: a system allows few watchers (128 inotify instances on a usual Linux), and each has a thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Watches directories and wakes those who asked.
#[derive(Debug)]
pub(crate) struct DirectoryWatch {
    /// Made by the first who asks: many servers read no files.
    watcher: Mutex<Option<RecommendedWatcher>>,
    waiting: Arc<Mutex<Waiting>>,
}

/// By directory as it was named, who is woken by changes in it.
type Waiting = BTreeMap<PathBuf, Vec<Weak<Notify>>>;

impl DirectoryWatch {
    pub(crate) fn new() -> Self {
        Self { watcher: Mutex::new(None), waiting: Arc::default() }
    }

    /// Wakes `wake` whenever something changes in `directory`, for as long as `wake` lives. Asking again is harmless,
    /// and finds a directory that was removed and made anew.
    ///
    /// # Errors
    /// If the directory is missing or cannot be watched.
    pub(crate) fn watch(&self, directory: &Path, wake: &Arc<Notify>) -> notify::Result<()> {
        let mut watcher = self.watcher.lock();
        self.forget_gone(&mut watcher);
        let watcher = match &mut *watcher {
            Some(watcher) => watcher,
            none => none.insert(notify::recommended_watcher(wake_by(Arc::clone(&self.waiting)))?),
        };
        // Also for a directory that is watched already: if it was made anew, this watches the new one.
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        let mut waiting = self.waiting.lock();
        let of_directory = waiting.entry(directory.to_owned()).or_default();
        if !of_directory.iter().any(|known| known.ptr_eq(&Arc::downgrade(wake))) {
            of_directory.push(Arc::downgrade(wake));
        }
        Ok(())
    }

    /// Stops watching for those who are gone.
    fn forget_gone(&self, watcher: &mut Option<RecommendedWatcher>) {
        let mut unwatched = Vec::new();
        self.waiting.lock().retain(|directory, waiting| {
            waiting.retain(|wake| wake.strong_count() > 0);
            if waiting.is_empty() {
                unwatched.push(directory.clone());
            }
            !waiting.is_empty()
        });
        if let Some(watcher) = watcher {
            for directory in unwatched {
                // It fails for a directory that was removed, which the system has forgotten by itself.
                let _forgotten = watcher.unwatch(&directory);
            }
        }
    }
}

/// What is called by the watcher's thread.
fn wake_by(waiting: Arc<Mutex<Waiting>>) -> impl Fn(notify::Result<notify::Event>) + Send + 'static {
    move |event| {
        let waiting = waiting.lock();
        let wake_all = |of_directory: &Vec<Weak<Notify>>| {
            of_directory.iter().filter_map(Weak::upgrade).for_each(|wake| wake.notify_one());
        };
        match event {
            Ok(event) if !is_change(event.kind) => {}
            Ok(event) if !event.need_rescan() && !event.paths.is_empty() => {
                for path in &event.paths {
                    // An event may be about the directory itself or about a name in it.
                    let about = [Some(path.as_path()), path.parent()];
                    about.into_iter().flatten().filter_map(|about| waiting.get(about)).for_each(wake_all);
                }
            }
            // Events were lost: anything may have changed.
            Ok(_) | Err(_) => waiting.values().for_each(wake_all),
        }
    }
}

/// Whether an event can change what a file says. Our own reading makes events too, and must not wake us.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}
