//! Who wakes the worker, and that no wake is lost.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::*;

fn in_thread(alarm: &Arc<Alarm>, sleep: Sleep) -> JoinHandle<Woken> {
    let (alarm, own) = (Arc::clone(alarm), Arc::clone(alarm));
    let thread = Builder::new().spawn(move || own.sleep(sleep, None, || false)).unwrap();
    while alarm.sleep.load(Ordering::SeqCst) != sleep as u8 {
        std::thread::yield_now();
    }
    thread
}

#[test]
fn a_light_sleeper_is_woken_by_what_concerns_it() {
    let (plain, delayed) = (SyncMode::Sync, "batch:9,5ms".parse().unwrap());
    let alarm = Arc::new(Alarm::default());
    let sleeper = in_thread(&alarm, Sleep::Lightest);
    alarm.committed(plain);
    assert_eq!(sleeper.join().unwrap(), Woken::Rung);
    let sleeper = in_thread(&alarm, Sleep::Light);
    alarm.committed(plain);
    assert_eq!(alarm.sleep.load(Ordering::SeqCst), Sleep::Light as u8, "sleeps on");
    assert_eq!(alarm.delay(), None);
    alarm.committed(delayed);
    assert_eq!(sleeper.join().unwrap(), Woken::Rung);
    assert_eq!(alarm.delay(), Some(Duration::from_millis(5)));
}

#[test]
fn what_came_before_the_sleep_is_not_slept_over() {
    let alarm = Alarm::default();
    assert_eq!(alarm.sleep(Sleep::Lightest, None, || true), Woken::Rung);
    alarm.ring();
    assert_eq!(alarm.sleep(Sleep::Deep, None, || false), Woken::Rung);
    let time = Some(Duration::from_millis(1));
    assert_eq!(alarm.sleep(Sleep::Deep, time, || false), Woken::TimedOut);
    alarm.stop();
    assert_eq!(alarm.sleep(Sleep::Deep, None, || false), Woken::Stopped);
    assert_eq!(alarm.sleep(Sleep::Deep, None, || false), Woken::Stopped);
}
