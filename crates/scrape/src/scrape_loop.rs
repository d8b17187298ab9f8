//! The life of one target: wait for its slot, scrape, store, again; and what happens when it goes away.
//!
//! A target that is gone may come back (a pod is replaced, a file is rewritten), therefore its series are ended
//! only after two intervals and a tenth, at the timestamp its next scrape would have had, as in Prometheus. If it
//! comes back before, its new loop goes on with what the old one knew. When the server stops, nothing is ended:
//! it will go on where it was.

use std::sync::Arc;
use std::time::Duration;

use stdx::clock::Clock;
use storage::Durability;
use tokio::runtime::RuntimeFlavor;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::env::Env;
use crate::error::ScrapeError;
use crate::fetch::fetch;
use crate::ingest::{Ingested, Scrape, end_of_run};
use crate::recipe::Recipe;
use crate::schedule::Grid;
use crate::status::Health;
use crate::target::{LastScrape, Target};

/// Reading a larger answer takes long enough for other tasks to move to another thread.
const LARGE_BODY_BYTES: usize = 1 << 20;

/// How long storage may take to make a scrape safe before it counts as failed; at least the interval.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(10);

/// What a pool tells the loop of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// Scrape.
    Run,
    /// Another loop takes over: end after the scrape that may be under way, and leave its series alone.
    Exit,
    /// The target is gone: end, and in time end its series.
    Retire,
}

/// A loop and how to talk to it.
pub(crate) struct Running {
    pub(crate) target: Arc<Target>,
    control: watch::Sender<Control>,
    done: JoinHandle<()>,
}

impl Running {
    /// Starts a loop, which waits for the end of the `previous` one of the same target.
    pub(crate) fn start(
        env: &Arc<Env>,
        recipe: &Arc<Recipe>,
        target: Arc<Target>,
        previous: Option<Running>,
    ) -> Self {
        let (control, receiver) = watch::channel(Control::Run);
        let previous = previous.map(|previous| {
            previous.tell(Control::Exit);
            previous.done
        });
        let this = Loop {
            env: Arc::clone(env),
            recipe: Arc::clone(recipe),
            grid: Grid::new(target.spec.interval_ms, (target.key as u64) ^ env.seed),
            target: Arc::clone(&target),
            control: receiver,
            last_slot_ms: None,
        };
        Self { target, control, done: env.tasks.spawn_on(this.run(previous), &env.runtime) }
    }

    /// Tells the loop what to do; it obeys after the scrape that may be under way.
    pub(crate) fn tell(&self, control: Control) {
        self.control.send_replace(control);
    }

    /// Whether the loop has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.done.is_finished()
    }
}

struct Loop {
    env: Arc<Env>,
    recipe: Arc<Recipe>,
    target: Arc<Target>,
    control: watch::Receiver<Control>,
    grid: Grid,
    last_slot_ms: Option<i64>,
}

impl Loop {
    async fn run(mut self, previous: Option<JoinHandle<()>>) {
        let env = Arc::clone(&self.env);
        tokio::select! {
            // A stopped server leaves everything as it is: not even a scrape under way is waited for.
            () = env.stop.cancelled() => {}
            () = self.live(previous) => {}
        }
    }

    async fn live(&mut self, previous: Option<JoinHandle<()>>) {
        if let Some(previous) = previous {
            // Its scrape may be under way; two at once would disturb each other's bookkeeping.
            let _ended_or_panicked = previous.await;
        }
        // Who starts a server to look at this machine should not look at an empty page first.
        if self.recipe.begins_at_once() && self.target.state.last.lock().health == Health::Unknown {
            let now_ms = self.env.clock.now_ms();
            Box::pin(self.scrape(now_ms)).await;
        }
        loop {
            let slot_ms = self.grid.next(self.env.clock.now_ms(), self.last_slot_ms);
            tokio::select! {
                biased;
                () = told(&mut self.control, |control| control != Control::Run) => break,
                () = sleep_until(&*self.env.clock, slot_ms, 0) => {}
            }
            self.last_slot_ms = Some(slot_ms);
            // On the heap while it lasts: between scrapes, which is most of the time, a loop should be small.
            Box::pin(self.scrape(slot_ms)).await;
        }
        if *self.control.borrow() == Control::Retire {
            self.retire().await;
        }
    }

    async fn scrape(&self, slot_ms: i64) {
        let (env, target) = (&*self.env, &*self.target);
        let began_ms = env.clock.now_ms();
        let scrape = Scrape {
            env,
            recipe: &self.recipe,
            target,
            timestamp_ms: self.grid.align(began_ms, slot_ms),
            began: env.clock.monotonic(),
        };
        let refused = self.recipe.target_limit_error.read().clone();
        let fetched = match refused {
            Some(error) => Err(error),
            None => fetch(env, &self.recipe, target).await,
        };
        let is_large = fetched.as_ref().is_ok_and(|answer| answer.body.bytes().len() > LARGE_BODY_BYTES);
        let Ingested { error, kept_count, excess_count, durable } = if is_large && may_block() {
            tokio::task::block_in_place(|| scrape.ingest(fetched))
        } else {
            scrape.ingest(fetched)
        };
        let took = env.clock.monotonic().saturating_sub(scrape.began);
        let error = match self.confirm(durable).await {
            Ok(()) => error,
            Err(unsafe_yet) => error.or(Some(unsafe_yet)),
        };
        let until_safe = env.clock.monotonic().saturating_sub(scrape.began);
        let skipped = until_safe.as_millis() / u128::from(self.grid.interval_ms().unsigned_abs());
        env.metrics.intervals_skipped.inc_by(u64::try_from(skipped).unwrap_or(u64::MAX));
        self.conclude(error, began_ms, took, (kept_count, excess_count));
    }

    /// Waits until storage has made the samples safe. Storage that hangs must not stop scraping: it may take what
    /// comes, and if not it will say so.
    async fn confirm(&self, durable: Durability) -> Result<(), ScrapeError> {
        let patience = Duration::from_millis(self.grid.interval_ms().unsigned_abs()).max(CONFIRM_PATIENCE);
        match tokio::time::timeout(patience, durable).await {
            Ok(confirmed) => confirmed.map_err(ScrapeError::Storage),
            Err(_) => Err(ScrapeError::Unconfirmed),
        }
    }

    fn conclude(&self, error: Option<ScrapeError>, began_ms: i64, took: Duration, counts: (u64, u64)) {
        let metrics = &self.env.metrics;
        metrics.scrapes.with_label_values(&[error.as_ref().map_or("ok", ScrapeError::word)]).inc();
        metrics.durations.observe(took.as_secs_f64());
        if let Some(error) = &error {
            tracing::debug!(target = %self.target.spec.url, %error, "scrape failed");
        }
        if let (Some(error), Some(log)) = (&error, &self.recipe.failure_log) {
            log.add(began_ms, &self.target.spec.url, &error.to_string());
        }
        let (sample_count, excess_count) = counts;
        self.say_excess(excess_count);
        let health = if error.is_none() { Health::Up } else { Health::Down };
        let error = error.map_or(String::new(), |error| error.to_string());
        *self.target.state.last.lock() = LastScrape {
            error,
            began_ms,
            duration_s: took.as_secs_f64(),
            sample_count,
            excess_count,
            health,
        };
    }

    /// Said when it begins and when it is over, not every scrape.
    fn say_excess(&self, excess_count: u64) {
        let before = self.target.state.last.lock().excess_count;
        let (target, job) = (&self.target.spec.url, &self.recipe.job);
        if excess_count > 0 && before == 0 {
            let (job, limit) = (&job.name, job.series_limit);
            tracing::warn!(%target, job, limit, excess_count, "series_limit: new series are left out");
        } else if excess_count == 0 && before > 0 {
            tracing::info!(%target, job = job.name, "series_limit: no series is left out any more");
        }
    }

    async fn retire(&mut self) {
        if self.target.state.last.lock().health == Health::Unknown {
            return;
        }
        let interval_ms = self.grid.interval_ms();
        let stale_ms = self.grid.next(self.env.clock.now_ms(), self.last_slot_ms);
        let mut control = self.control.clone();
        tokio::select! {
            biased;
            () = told(&mut control, |control| control == Control::Exit) => return,
            () = sleep_until(&*self.env.clock, stale_ms, interval_ms + interval_ms / 10) => {}
        }
        let durable = end_of_run(&self.env, &self.recipe, &self.target, stale_ms);
        self.target.state.cache.lock().reset();
        if let Err(error) = durable.await {
            tracing::warn!(target = %self.target.spec.url, %error, "cannot end the series of a vanished target");
        }
    }
}

/// Whether this runtime has other threads that go on with its tasks.
fn may_block() -> bool {
    tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread
}

/// Waits until the clock shows `wall_ms`, and `extra_ms` more.
async fn sleep_until(clock: &dyn Clock, wall_ms: i64, extra_ms: i64) {
    let wait_ms = (wall_ms - clock.now_ms()).max(0).saturating_add(extra_ms);
    tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
}

/// Waits until the pool has said something that `matches`. A pool that is gone says nothing more.
async fn told(control: &mut watch::Receiver<Control>, matches: impl Fn(Control) -> bool) {
    if control.wait_for(|control| matches(*control)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
