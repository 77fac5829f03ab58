//! A Lambda runner: real function binaries, the real runtime API, N instances of each function.
//!
//! As on Lambda, an instance takes one invocation at a time, and the most recently used idle
//! instance comes first. An instance that dies or runs out of time fails its invocation, and a new
//! one replaces it. Invocations above the concurrency wait. Between invocations an instance is not
//! frozen, unless a test puts it to sleep. Lambda's own limits hold: 6 MB of payload, ten seconds
//! to initialise.

mod instance;
mod runtime_api;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::folder::append_privately;
use crate::http::runtime;
use crate::lineage;
use instance::Instance;

/// The most bytes of an invocation's payload or answer (Lambda's "Invocation payload",
/// synchronous).
pub const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Everything about one function that an operator chooses.
#[derive(Debug, Clone)]
pub struct FunctionOptions {
    /// The program, which speaks the runtime API.
    pub binary: PathBuf,
    /// A program of another release: every second instance runs it, as during a deployment.
    pub binary_beside: Option<PathBuf>,
    /// The environment beside the variables that Lambda itself sets. Of our own environment only
    /// `PATH` and `RUST_BACKTRACE` are passed on.
    pub environment: BTreeMap<String, String>,
    /// Further variables for each instance.
    pub environment_of_instance: EnvironmentOfInstance,
    /// The most instances at one time.
    pub instances_max: usize,
    /// The longest time of one invocation.
    pub timeout: Duration,
    /// The way to treat a chain of invocations that is longer than [`lineage::HOPS_MAX`].
    pub recursive_loop: RecursiveLoop,
    /// The value of `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, megabytes. Not enforced.
    pub memory_megabytes: u32,
}

/// A function's `RecursiveLoop`, a setting of Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecursiveLoop {
    /// Chains go on, as the template says for functions that queues drive.
    Allow,
    /// Lambda's default: the invocation does not happen, and its messages are gone.
    Terminate,
}

/// Chooses further variables for each instance by its number, from 0: a crash suite arms another
/// failpoint in each.
#[derive(Clone, Default)]
pub struct EnvironmentOfInstance(Option<Arc<ChooseEnvironment>>);

type ChooseEnvironment = dyn Fn(u64) -> Vec<(String, String)> + Send + Sync;

/// The result of an invocation.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The function's answer, or Lambda's error object.
    pub payload: Bytes,
    /// Whether the function failed (the `X-Amz-Function-Error` of Lambda's answer).
    pub is_error: bool,
}

/// The runner; dropped, it kills every instance.
#[derive(Debug)]
pub struct Lambda {
    logs: PathBuf,
    functions: RwLock<BTreeMap<String, Arc<Function>>>,
}

/// One function with its instances. A change of options makes a new `Function`; the old one ends
/// with its last invocation.
#[derive(Debug)]
struct Function {
    name: String,
    options: FunctionOptions,
    log: PathBuf,
    slots: Semaphore,
    idle: Mutex<Vec<Arc<Instance>>>,
    all: Mutex<Vec<Weak<Instance>>>,
    started: AtomicU64,
    hops_max: AtomicU32,
}

impl FunctionOptions {
    /// Two instances of 256 MB with 30 seconds each, and no environment.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            binary_beside: None,
            environment: BTreeMap::new(),
            environment_of_instance: EnvironmentOfInstance::default(),
            instances_max: 2,
            timeout: Duration::from_secs(30),
            recursive_loop: RecursiveLoop::Allow,
            memory_megabytes: 256,
        }
    }
}

impl EnvironmentOfInstance {
    /// Asks `choose` whenever an instance starts.
    pub fn new(choose: impl Fn(u64) -> Vec<(String, String)> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(choose)))
    }

    fn of(&self, number: u64) -> Vec<(String, String)> {
        self.0.as_ref().map(|choose| choose(number)).unwrap_or_default()
    }
}

impl std::fmt::Debug for EnvironmentOfInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "EnvironmentOfInstance(chosen)" } else { "EnvironmentOfInstance" })
    }
}

impl Answer {
    /// The answer's JSON.
    ///
    /// # Errors
    ///
    /// When the function failed (with its error's message), or answered no JSON.
    pub fn json(&self) -> Result<Value> {
        let value: Value = serde_json::from_slice(&self.payload).context("the function answered no JSON")?;
        if self.is_error {
            let part = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            bail!("the function failed: {} {}", part("errorType"), part("errorMessage"));
        }
        Ok(value)
    }

    fn failed(error_type: &str, message: &str) -> Self {
        let error = serde_json::json!({ "errorType": error_type, "errorMessage": message });
        Self { payload: error.to_string().into(), is_error: true }
    }
}

impl Lambda {
    /// A runner without functions; each function's output goes to `NAME.log` in `logs`.
    pub fn new(logs: &Path) -> Self {
        Self { logs: logs.to_owned(), functions: RwLock::default() }
    }

    /// Adds a function or replaces it; instances start when they are needed.
    ///
    /// # Errors
    ///
    /// When the binary isn't there.
    pub fn add(&self, name: &str, options: FunctionOptions) -> Result<()> {
        if !options.binary.is_file() {
            bail!(
                "no binary of the function {name}: {} (cargo build --workspace --bins)",
                options.binary.display()
            );
        }
        let function = Function {
            name: name.to_owned(),
            log: self.logs.join(format!("{name}.log")),
            slots: Semaphore::new(options.instances_max.max(1)),
            options,
            idle: Mutex::default(),
            all: Mutex::default(),
            started: AtomicU64::new(0),
            hops_max: AtomicU32::new(0),
        };
        let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
        functions.insert(name.to_owned(), Arc::new(function));
        Ok(())
    }

    /// Changes a function's options: new instances take over, running invocations end on the old
    /// ones.
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn reconfigure(&self, name: &str, change: impl FnOnce(&mut FunctionOptions)) -> Result<()> {
        let mut options = self.function(name)?.options.clone();
        change(&mut options);
        self.add(name, options)
    }

    /// A function's options.
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn options(&self, name: &str) -> Result<FunctionOptions> {
        Ok(self.function(name)?.options.clone())
    }

    /// The names of all functions.
    pub fn names(&self) -> Vec<String> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Waits for a free instance, invokes the function and waits for its answer. A failure of the
    /// function is an answer, not an error. The invocation goes on when the returned future is
    /// dropped, as on Lambda.
    ///
    /// # Errors
    ///
    /// When there is no such function, or the payload is larger than Lambda takes.
    pub async fn invoke(&self, name: &str, payload: Bytes) -> Result<Answer> {
        self.invoke_after(name, payload, 0).await
    }

    /// As [`Lambda::invoke`], for an invocation that is `hops` invocations away from the outside
    /// world.
    ///
    /// # Errors
    ///
    /// As [`Lambda::invoke`].
    pub async fn invoke_after(&self, name: &str, payload: Bytes, hops: u32) -> Result<Answer> {
        let function = self.function(name)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            bail!("the payload is larger than {PAYLOAD_BYTES_MAX} bytes");
        }
        Ok(runtime().spawn(async move { function.invoke(payload, hops + 1).await }).await?)
    }

    /// The longest chain of invocations so far that led to this function.
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn hops_max(&self, name: &str) -> Result<u32> {
        Ok(self.function(name)?.hops_max.load(Ordering::Relaxed))
    }

    /// The process ids of a function's living instances, idle and busy.
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn instances(&self, name: &str) -> Result<Vec<i32>> {
        Ok(self.function(name)?.living().iter().map(|instance| instance.pid()).collect())
    }

    /// Kills a function's instances as the kernel would; their invocations fail. Gives the number
    /// of instances.
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn kill(&self, name: &str) -> Result<usize> {
        let living = self.function(name)?.living();
        living.iter().for_each(|instance| instance.kill());
        Ok(living.len())
    }

    /// Freezes a function's idle instances, as Lambda does between two invocations. An invocation
    /// thaws the instance that it takes. Gives the number of idle instances.
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn put_to_sleep(&self, name: &str) -> Result<usize> {
        let function = self.function(name)?;
        let idle = lock(&function.idle);
        idle.iter().for_each(|instance| instance.freeze());
        Ok(idle.len())
    }

    /// The process ids of a function's instances that are frozen (by SIGSTOP).
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn frozen(&self, name: &str) -> Result<Vec<i32>> {
        let living = self.function(name)?.living();
        Ok(living.iter().filter(|instance| instance.is_frozen()).map(|instance| instance.pid()).collect())
    }

    /// Lets a frozen instance go on.
    ///
    /// # Errors
    ///
    /// When there is no such function.
    pub fn thaw(&self, name: &str, pid: i32) -> Result<()> {
        self.function(name)?.living().iter().filter(|one| one.pid() == pid).for_each(|one| one.thaw());
        Ok(())
    }

    /// Forgets all functions, which kills their instances.
    pub fn stop(&self) {
        let functions = std::mem::take(&mut *self.functions.write().unwrap_or_else(PoisonError::into_inner));
        for function in functions.values() {
            function.living().iter().for_each(|instance| instance.kill());
        }
    }

    fn function(&self, name: &str) -> Result<Arc<Function>> {
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.get(name).cloned().with_context(|| format!("there is no function {name}"))
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Function {
    async fn invoke(&self, payload: Bytes, hops: u32) -> Answer {
        if self.options.recursive_loop == RecursiveLoop::Terminate && hops > lineage::HOPS_MAX {
            self.note("a recursive loop was stopped");
            // The answer is a success, so no message is delivered again.
            return Answer { payload: Bytes::from_static(b"{}"), is_error: false };
        }
        self.hops_max.fetch_max(hops, Ordering::Relaxed);
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let instance = match self.take_idle() {
            Some(instance) => instance,
            None => match self.start_instance().await {
                Ok(instance) => instance,
                Err(error) => return Answer::failed("Runtime.InvalidEntrypoint", &format!("{error:#}")),
            },
        };
        let answer = instance.run(payload, lineage::header(hops), self.options.timeout).await;
        if instance.is_usable() {
            lock(&self.idle).push(instance);
        } else {
            self.note(&format!("an instance ended: {}", String::from_utf8_lossy(&answer.payload)));
            instance.kill();
        }
        answer
    }

    fn take_idle(&self) -> Option<Arc<Instance>> {
        let mut idle = lock(&self.idle);
        while let Some(instance) = idle.pop() {
            if instance.is_usable() {
                // It may have been put to sleep.
                instance.thaw();
                return Some(instance);
            }
            self.note("an idle instance ended");
        }
        None
    }

    async fn start_instance(&self) -> Result<Arc<Instance>> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let own = self.options.environment_of_instance.of(number);
        let beside = self.options.binary_beside.as_ref().filter(|_| number % 2 == 1);
        let binary = beside.unwrap_or(&self.options.binary);
        let instance = Instance::start(&self.name, binary, &self.options, own, &self.log).await?;
        let instance = Arc::new(instance);
        let mut all = lock(&self.all);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&instance));
        Ok(instance)
    }

    fn living(&self) -> Vec<Arc<Instance>> {
        let all: Vec<Arc<Instance>> = lock(&self.all).iter().filter_map(Weak::upgrade).collect();
        all.into_iter().filter(|instance| instance.is_usable()).collect()
    }

    /// Adds a line of the runner's own to the function's log. The line is only for readers of the
    /// log, so an error in writing it is ignored.
    fn note(&self, line: &str) {
        use std::io::Write;
        if let Ok(mut log) = append_privately(&self.log) {
            let _unnoted = writeln!(log, "runner: {line}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
