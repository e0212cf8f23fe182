//! Child processes of a test: their output is read line by line, they take signals, and they die with the test.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A running child. Dropped, it is killed; its last lines are printed when the test is failing.
///
/// A child also dies when the test process does, however that ends: a small shell beside it waits for the end of a pipe
/// that only the test process holds open.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    watchdog: Child,
    output: Arc<Output>,
    reader: Option<JoinHandle<()>>,
}

/// The signals the tests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ends at once, as a crash or the OOM killer would.
    Kill,
    /// Asks to drain and end.
    Term,
    /// Freezes, as a long pause of the machine would.
    Stop,
    /// Thaws.
    Cont,
}

impl Process {
    /// Starts `command` with its standard output and standard error read into one list of lines.
    pub fn spawn(name: &str, command: &mut Command) -> Self {
        let (read, write) = io::pipe().unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(write.try_clone().unwrap())
            .stderr(write)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        // The command still holds the writing ends: without this the reader never sees the end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$0\""])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = Arc::new(Output::default());
        let reader = thread::spawn({
            let output = Arc::clone(&output);
            move || output.read(read)
        });
        Self {
            name: name.to_owned(),
            child,
            watchdog,
            output,
            reader: Some(reader),
        }
    }

    /// Blocks until a line holds `text`, and returns that line.
    ///
    /// # Panics
    /// When the child ends first, or `limit` passes.
    pub fn wait_for_line(&self, text: &str, limit: Duration) -> String {
        self.find_line(text, limit)
            .unwrap_or_else(|ended| panic!("{} {ended} without a line {text:?}", self.name))
    }

    /// Blocks until a line holds `text`.
    ///
    /// # Errors
    /// How the wait ended instead: the child ended, or `limit` passed.
    pub fn find_line(&self, text: &str, limit: Duration) -> Result<String, &'static str> {
        let mut found = None;
        let lines = self.output.wait_until(limit, |lines| {
            found = lines.all.iter().find(|line| line.contains(text)).cloned();
            found.is_some() || lines.ended
        });
        let ended = lines.ended;
        drop(lines);
        found.ok_or(if ended { "ended" } else { "went on too long" })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Kill => "KILL",
            Signal::Term => "TERM",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
        };
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name])
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(status.success(), "{} takes no signal {name}", self.name);
    }

    /// Blocks until the child has ended of itself, and returns its status.
    ///
    /// # Panics
    /// When `limit` passes.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let ended = self.output.wait_until(limit, |lines| lines.ended).ended;
        assert!(ended, "{} has not ended after {limit:?}", self.name);
        self.reap()
    }

    /// Returns whether the child has not ended yet.
    pub fn is_running(&self) -> bool {
        !self.output.lock().ended
    }

    /// Kills the child and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::Kill);
        self.reap();
    }

    /// Returns everything the child has written so far, oldest first, but for what exceeds [`LINES_MAX`] lines.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().all.iter().cloned().collect()
    }

    /// The watchdog goes first: once the child is reaped its number may be another's.
    fn reap(&mut self) -> ExitStatus {
        self.stop_watchdog();
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }

    fn stop_watchdog(&mut self) {
        // Fails only when it is gone already, as after an interrupt from the keyboard.
        drop(self.watchdog.kill());
        drop(self.watchdog.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop_watchdog();
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            let lines = self.output.lock();
            let tail = lines.all.len().saturating_sub(TAIL_LINES);
            eprintln!("---- end of the output of {}", self.name);
            for line in lines.all.iter().skip(tail) {
                eprintln!("{line}");
            }
            eprintln!("----");
        }
    }
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    all: VecDeque<String>,
    ended: bool,
}

impl Output {
    fn read(&self, from: impl Read) {
        for line in BufReader::new(from).split(b'\n') {
            let line = line.unwrap();
            let mut lines = self.lock();
            if lines.all.len() == LINES_MAX {
                lines.all.pop_front();
            }
            lines
                .all
                .push_back(String::from_utf8_lossy(&line).into_owned());
            self.changed.notify_all();
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Returns when `done` or after `limit`, whichever comes first.
    fn wait_until(
        &self,
        limit: Duration,
        mut done: impl FnMut(&Lines) -> bool,
    ) -> MutexGuard<'_, Lines> {
        let deadline = Instant::now() + limit;
        let mut lines = self.lock();
        while !done(&lines) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            lines = self
                .changed
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        lines
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept of a child's output. A chatty child loses its oldest lines.
pub const LINES_MAX: usize = 100_000;

const TAIL_LINES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::spawn("sh", Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_line_is_waited_for_and_kept() {
        let mut process = shell("echo one; echo two >&2; exit 3");
        assert_eq!(process.wait_for_line("tw", LIMIT), "two");
        assert_eq!(process.wait(LIMIT).code(), Some(3));
        assert_eq!(process.lines(), ["one", "two"]);
        assert!(!process.is_running());
    }

    #[test]
    fn a_line_that_never_comes_is_told_from_one_that_is_late() {
        assert_eq!(shell("echo one").find_line("two", LIMIT), Err("ended"));
        let late =
            shell("exec cat /dev/zero > /dev/null").find_line("two", Duration::from_millis(10));
        assert_eq!(late, Err("went on too long"));
    }

    #[test]
    fn a_child_dies_when_the_test_process_lets_go_of_it() {
        let mut process = shell("exec cat /dev/zero > /dev/null");
        drop(process.watchdog.stdin.take());
        assert_eq!(process.wait(LIMIT).code(), None, "killed by a signal");
    }

    #[test]
    fn a_child_is_asked_to_end() {
        let mut process = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do :; done");
        process.wait_for_line("ready", LIMIT);
        process.signal(Signal::Term);
        assert_eq!(process.wait(LIMIT).code(), Some(0));
        assert_eq!(process.lines(), ["ready", "bye"]);
    }

    const LIMIT: Duration = Duration::from_secs(60);
}
