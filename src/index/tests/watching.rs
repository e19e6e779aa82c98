//! A watcher that is dropped has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::storage::MemStorage;

#[test]
fn a_watcher_ends_before_it_is_gone() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let mut writer = start(&storage, true, Merges::Manual).unwrap();
    let index = Arc::new(writer.reader().unwrap());
    let (send, begun) = crossbeam::channel::bounded(1);
    let ended = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&ended);
    let seen = move |commit: Result<u64>| {
        send.send(commit.unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        own.store(true, Ordering::SeqCst);
    };
    let watcher = index.watch(Duration::from_millis(1), seen).unwrap();
    put(&mut writer, 1, 1).unwrap();
    let commit = writer.commit().unwrap();
    assert_eq!(begun.recv().unwrap(), commit);
    // Its callback is at work.
    drop(watcher);
    assert!(ended.load(Ordering::SeqCst));
    assert_eq!(Arc::strong_count(&ended), 1, "what it was given is let go");
}
