//! A reader that looks for newer commits by itself.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};

use crate::error::{Error, Result};
use crate::index::Index;

/// Looks for newer commits until it is dropped; see [`Index::watch`].
#[derive(Debug)]
pub struct Watcher {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Its own callback may drop it: it then ends by itself.
        let own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !own(thread)) {
            // What a callback panicked with was shown when it did.
            let _ = thread.join();
        }
    }
}

impl Index {
    /// [Refreshes](Self::refresh) the index again and again, `every` so often, on a thread of its
    /// own, until the watcher or the index is dropped. `seen` is given the number of each other
    /// commit that is found, and the error where a look fails: the index then stays where it was,
    /// and looks again.
    ///
    /// # Errors
    /// [`Error::Io`] where no thread can be started.
    pub fn watch(
        self: &Arc<Self>,
        every: Duration,
        mut seen: impl FnMut(Result<u64>) + Send + 'static,
    ) -> Result<Watcher> {
        let index: Weak<Self> = Arc::downgrade(self);
        let (stop, stopped) = bounded::<()>(0);
        let work = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let Some(index) = index.upgrade() else { return };
                match index.refresh() {
                    Ok(false) => {}
                    Ok(true) => seen(Ok(index.snapshot().commit())),
                    Err(error) => seen(Err(error)),
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("lateen watch".to_owned())
            .spawn(work)
            .map_err(|error| Error::io("start a thread to", "watch", error))?;
        Ok(Watcher { stop: Some(stop), thread: Some(thread) })
    }
}
