//! One memory budget, divided among its users by an accountant.
//!
//! A [`Budget`] has a limit and may have a parent. Memory is taken before it is allocated and given back
//! when the [`Reservation`] is dropped; what is taken from a child is taken from all its ancestors, so a
//! query cannot exceed its own limit, nor all queries together theirs.

#[cfg(target_os = "linux")]
mod code;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(target_os = "linux")]
pub use code::unmap_code;

/// More memory was asked for than a budget still has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "memory limit of {budget} reached: {used_bytes} of {limit_bytes} bytes in use, {asked_bytes} more asked for"
)]
pub struct MemoryExceeded {
    /// Name of the budget that had too little left.
    pub budget: String,
    /// What was in use.
    pub used_bytes: u64,
    /// Its limit.
    pub limit_bytes: u64,
    /// What was asked for on top.
    pub asked_bytes: u64,
    /// What raises the limit, for the remedy.
    pub setting: &'static str,
}

/// What raises the limit of the whole process.
const MEMORY_LIMIT: &str = "--memory-limit";

/// A share of memory with a limit. Shared as `Arc<Budget>`.
#[derive(Debug)]
pub struct Budget {
    name: String,
    setting: &'static str,
    limit_bytes: AtomicU64,
    used_bytes: AtomicU64,
    peak_bytes: AtomicU64,
    parent: Option<Arc<Budget>>,
}

impl Budget {
    /// A budget of its own, for instance the whole process.
    pub fn root(name: impl Into<String>, limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self::new(name.into(), limit_bytes, None, MEMORY_LIMIT))
    }

    /// A budget that never refuses; for tests and tools.
    pub fn unlimited() -> Arc<Self> {
        Self::root("unlimited", u64::MAX)
    }

    /// A share of `self`: what is taken from it is taken from `self` too.
    pub fn child(self: &Arc<Self>, name: impl Into<String>, limit_bytes: u64) -> Arc<Self> {
        self.child_set_by(name, limit_bytes, self.setting)
    }

    /// As [`Self::child`], with a limit that is raised by another setting.
    pub fn child_set_by(
        self: &Arc<Self>,
        name: impl Into<String>,
        limit_bytes: u64,
        setting: &'static str,
    ) -> Arc<Self> {
        Arc::new(Self::new(name.into(), limit_bytes, Some(Arc::clone(self)), setting))
    }

    fn new(name: String, limit_bytes: u64, parent: Option<Arc<Budget>>, setting: &'static str) -> Self {
        Self {
            name,
            setting,
            limit_bytes: AtomicU64::new(limit_bytes),
            used_bytes: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
            parent,
        }
    }

    /// What this budget is for, as error messages and metrics name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes taken at the moment.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever taken at one time.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// The limit in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes.load(Ordering::Relaxed)
    }

    /// Takes nothing yet; grow the result as memory is needed.
    pub fn reserve_none(self: &Arc<Self>) -> Reservation {
        Reservation { budget: Arc::clone(self), bytes: 0 }
    }

    /// Takes `bytes`, or refuses without taking any.
    ///
    /// # Errors
    /// Names the budget, here or above, that had too little left.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, MemoryExceeded> {
        self.take(bytes)?;
        Ok(Reservation { budget: Arc::clone(self), bytes })
    }

    /// Takes `bytes` even beyond the limit, so that others are refused instead: for work that frees memory or makes
    /// data safe, and must go on.
    pub fn reserve_anyway(self: &Arc<Self>, bytes: u64) -> Reservation {
        self.take_anyway(bytes);
        Reservation { budget: Arc::clone(self), bytes }
    }

    fn take_anyway(&self, bytes: u64) {
        let before = self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.peak_bytes.fetch_max(before + bytes, Ordering::Relaxed);
        if let Some(parent) = &self.parent {
            parent.take_anyway(bytes);
        }
    }

    fn take(&self, bytes: u64) -> Result<(), MemoryExceeded> {
        let limit_bytes = self.limit_bytes();
        let taken = self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= limit_bytes)
        });
        let before = taken.map_err(|used_bytes| MemoryExceeded {
            budget: self.name.clone(),
            used_bytes,
            limit_bytes,
            asked_bytes: bytes,
            setting: self.setting,
        })?;
        if let Some(parent) = &self.parent
            && let Err(refused) = parent.take(bytes)
        {
            self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(refused);
        }
        self.peak_bytes.fetch_max(before + bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        let before = self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "BUG: more memory given back to {} than was taken", self.name);
        if let Some(parent) = &self.parent {
            parent.give_back(bytes);
        }
    }
}

/// Gives memory that was freed back to the operating system.
///
/// The allocator keeps freed pages that lie between pages in use, so that a process would stay as large as its largest
/// flush or compaction ever was. To be called after such bursts: it looks through all that is free, which takes a
/// millisecond or so for a hundred megabytes, while others that allocate wait. Does nothing where the allocator is not glibc's.
pub fn give_back_free() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::malloc_trim(0);
}

/// Allocations of so many bytes and more are apart from the heap after [`keep_large_apart`].
const LARGE_BYTES: i32 = 256 << 10;

/// Has large allocations taken from the operating system one by one, and given back when they are freed.
///
/// glibc begins with that, but takes a large buffer that is freed for a sign that more will come and go, and from then
/// on has them in the heap, up to 32 MiB: arrays that grow leave holes there, and small things that stay settle in
/// the holes. To be called when the process begins. Does nothing where the allocator is not glibc's.
pub fn keep_large_apart() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::mallopt(glibc::M_MMAP_THRESHOLD, LARGE_BYTES);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    /// From <malloc.h>.
    pub(super) const M_MMAP_THRESHOLD: c_int = -3;

    // SAFETY: glibc, which the standard library links on this target, declares `int malloc_trim(size_t)` in <malloc.h>.
    // It may be called from any thread at any time: it locks each arena in turn, and only pages of free chunks
    // are given back, so nothing that is allocated changes. Hence `safe`.
    // `int mallopt(int, int)` is declared there, too. It locks the main arena and stores a number: who allocates at the same time
    // goes by the old one or by the new one, and both are sound.
    #[expect(unsafe_code, reason = "no crate in use wraps these")]
    unsafe extern "C" {
        /// Sets a parameter. Answers 1 if there is such a one and the value is allowed.
        pub(super) safe fn mallopt(parameter: c_int, value: c_int) -> c_int;

        /// Keeps `pad` bytes at the end of the heap. Answers whether anything was given back.
        pub(super) safe fn malloc_trim(pad: usize) -> c_int;
    }
}

/// Memory taken from a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes `bytes` more, or refuses and keeps what is held.
    ///
    /// # Errors
    /// Names the budget that had too little left.
    pub fn grow(&mut self, bytes: u64) -> Result<(), MemoryExceeded> {
        self.budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Holds at least `bytes` afterwards, even beyond the limit; see [`Budget::reserve_anyway`].
    pub fn raise_anyway(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.budget.take_anyway(bytes - self.bytes);
            self.bytes = bytes;
        }
    }

    /// Gives part of it back.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.budget.give_back(bytes);
        self.bytes -= bytes;
    }

    /// Holds exactly `bytes` afterwards, or refuses and keeps what is held.
    ///
    /// # Errors
    /// Names the budget that had too little left.
    pub fn resize(&mut self, bytes: u64) -> Result<(), MemoryExceeded> {
        if bytes > self.bytes {
            self.grow(bytes - self.bytes)
        } else {
            self.shrink(self.bytes - bytes);
            Ok(())
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_from_a_child_is_taken_from_its_parent_and_comes_back() {
        let process = Budget::root("process", 100);
        let queries = process.child("queries", 80);
        let mut held = queries.reserve(50).expect("fits");
        assert_eq!((queries.used_bytes(), process.used_bytes()), (50, 50));
        held.grow(20).expect("fits");
        held.shrink(60);
        assert_eq!((held.bytes(), process.used_bytes()), (10, 10));
        drop(held);
        assert_eq!((queries.used_bytes(), process.used_bytes(), queries.peak_bytes()), (0, 0, 70));
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn free_memory_between_used_memory_is_given_back() {
        let resident_bytes = || {
            let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
            let pages: u64 = statm.split(' ').nth(1).expect("second field").parse().expect("a number");
            pages * 4096
        };
        // Small enough to lie in the heap; every eighth stays, so that the heap cannot shrink from its end.
        let mut pieces: Vec<Vec<u8>> = (0..4096).map(|_| vec![1; 16 << 10]).collect();
        let mut at = 0;
        pieces.retain(|_| {
            at += 1;
            at % 8 == 0
        });
        let before = resident_bytes();
        give_back_free();
        let given_back = before.saturating_sub(resident_bytes());
        assert!(given_back > 32 << 20, "{given_back} of 56 MiB came back");
        assert!(pieces.iter().all(|piece| piece.iter().all(|byte| *byte == 1)));
    }

    /// In a process of its own: what the process has mapped is also what other tests map.
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn large_allocations_go_back_when_they_are_freed() {
        const ALONE: &str = "STDX_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let name = "memory::tests::large_allocations_go_back_when_they_are_freed";
            let program = std::env::current_exe().expect("this test");
            let alone = std::process::Command::new(program).args([name, "--exact"]).env(ALONE, "1").output();
            let alone = alone.expect("started");
            let said = String::from_utf8_lossy(&alone.stdout);
            assert!(alone.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        assert_eq!(glibc::mallopt(glibc::M_MMAP_THRESHOLD, LARGE_BYTES), 1, "it is allowed");
        keep_large_apart();
        let mapped = || {
            let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
            statm.split(' ').next().expect("first field").parse::<u64>().expect("a number") * 4096
        };
        // Freeing one would otherwise have the next ones in the heap, where the small ones pin them.
        drop(vec![1u8; 24 << 20]);
        let before = mapped();
        let (large, small): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
            (0..16).map(|_| (vec![1; 4 << 20], vec![1; 512])).unzip();
        assert!(mapped() >= before + (64 << 20));
        drop(large);
        assert!(mapped() < before + (32 << 20), "most of 64 MiB went back");
        assert!(small.iter().all(|piece| piece[0] == 1));
    }

    #[test]
    fn what_is_taken_anyway_goes_beyond_the_limit_and_leaves_others_less() {
        let process = Budget::root("process", 100);
        let (flush, queries) = (process.child("flush", u64::MAX), process.child("queries", 100));
        let mut held = flush.reserve_anyway(80);
        assert!(queries.reserve(30).is_err() && queries.reserve(20).is_ok());
        held.raise_anyway(120);
        held.raise_anyway(90);
        assert_eq!((held.bytes(), process.used_bytes(), process.peak_bytes()), (120, 120, 120));
        assert!(queries.reserve(1).is_err());
        drop(held);
        assert_eq!((process.used_bytes(), queries.reserve(100).is_ok()), (0, true));
    }

    #[test]
    fn a_refusal_names_the_budget_and_takes_nothing() {
        let process = Budget::root("process", 100);
        let (head, queries) = (process.child("head", 90), process.child("queries", 90));
        let _held = head.reserve(60).expect("fits");
        let refused = queries.reserve(50).expect_err("only 40 are left");
        assert_eq!((refused.budget.as_str(), refused.used_bytes, refused.asked_bytes), ("process", 60, 50));
        assert_eq!(queries.used_bytes(), 0);
        assert_eq!(queries.reserve(91).expect_err("above its own limit").budget, "queries");
    }
}
