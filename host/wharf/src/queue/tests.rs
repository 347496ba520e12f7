use wharf_model::{Cause, WhenFull};

use super::*;
use crate::conclude::outcome;

struct Site {
    _dir: tempfile::TempDir,
    store: Arc<Store>,
    queue: Arc<Queue>,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&dir.path().join("wharf.db")).unwrap());
        Self { queue: Queue::new(Arc::clone(&store)), store, _dir: dir }
    }

    fn enter(&self, run: &str, user: &str, priority: i32, limits: &[Limit], takes: Takes) -> Place {
        let activity = serde_json::from_value(serde_json::json!({
            "kind": "python", "requester": { "user": user, "groups": [] }
        }));
        self.store.begin(run, 1, &activity.unwrap(), "c").unwrap();
        let wish = Wish { run: run.to_owned(), user: user.to_owned(), priority, limits: limits.to_vec(), takes };
        self.queue.enter(wish)
    }

    fn end(&self, run: &str) {
        self.store.end(run, 2, &outcome(Cause::Succeeded, "done")).unwrap();
        self.queue.advance();
    }
}

fn limit(scope: &str, counter: &str, maximum: u64) -> Limit {
    Limit { scope: scope.to_owned(), counter: counter.to_owned(), maximum, when_full: WhenFull::Wait }
}

fn is_in(place: &Place) -> bool {
    *place.told.borrow() == Told::Admitted
}

fn position(place: &Place) -> usize {
    match &*place.told.borrow() {
        Told::Waits(_, _, position) => *position,
        other => panic!("{other:?}"),
    }
}

/// One who sends many doesn't keep another out: of the turns each has half, as long as both wait.
#[test]
fn a_crowd_of_one_user_leaves_room_for_another() {
    let site = Site::new();
    let limits = [limit("all", "running", 2)];
    let mut crowd: Vec<(String, Place)> = (0..100)
        .map(|at| {
            let run = format!("a{at:03}");
            let place = site.enter(&run, "ana", 0, &limits, Takes::default());
            (run, place)
        })
        .collect();
    let others: Vec<(String, Place)> = (0..3)
        .map(|at| {
            let run = format!("b{at}");
            let place = site.enter(&run, "ben", 0, &limits, Takes::default());
            (run, place)
        })
        .collect();
    assert!(is_in(&crowd[0].1) && is_in(&crowd[1].1) && !is_in(&crowd[2].1));
    assert_eq!(position(&others[0].1), 1);
    // As each ends, the next comes in: how many of the crowd before the last of ben's?
    let mut running: Vec<String> = vec!["a000".to_owned(), "a001".to_owned()];
    let mut came = Vec::new();
    while others.iter().any(|(_, place)| !is_in(place)) {
        let ends = running.remove(0);
        site.end(&ends);
        let new = crowd.iter().chain(&others).find(|(run, place)| {
            is_in(place) && !running.contains(run) && !came.contains(run) && *run != ends && run != "a001"
        });
        let new = new.expect("somebody came in").0.clone();
        came.push(new.clone());
        running.push(new);
    }
    assert!(came.len() <= 6, "{came:?}");
    assert_eq!(came[0], "b0");
    crowd.truncate(50);
    assert!(site.queue.len() < 60, "who gives up a place isn't in the queue any more");
}

#[test]
fn priority_goes_first_and_a_large_run_is_not_passed_for_ever() {
    let site = Site::new();
    let limits = [limit("all", "memory", 10)];
    let takes = |memory| Takes { memory, ..Takes::default() };
    let first = site.enter("first", "ana", 0, &limits, takes(8));
    let large = site.enter("large", "ana", 0, &limits, takes(10));
    let small = site.enter("small", "ben", -1, &limits, takes(1));
    let urgent = site.enter("urgent", "cid", 9, &limits, takes(2));
    let elsewhere = site.enter("elsewhere", "ana", 0, &[limit("other", "memory", 10)], takes(10));
    assert!(is_in(&first) && is_in(&urgent) && is_in(&elsewhere));
    assert_eq!((position(&large), position(&small)), (1, 2), "it would fit, and waits behind the large one");
    site.end("urgent");
    assert!(!is_in(&small));
    site.end("first");
    assert!(is_in(&large) && !is_in(&small));
    site.end("large");
    assert!(is_in(&small));
}

#[test]
fn what_would_never_fit_is_told_at_once_and_keeps_nobody_back() {
    let site = Site::new();
    let limits = [limit("all", "memory", 10)];
    let takes = |memory| Takes { memory, ..Takes::default() };
    let never = site.enter("never", "ana", 0, &limits, takes(11));
    assert!(matches!(&*never.told.borrow(), Told::Refused(..)));
    let reject = [Limit { when_full: WhenFull::Reject, ..limits[0].clone() }];
    let one = site.enter("one", "ana", 0, &limits, takes(10));
    let two = site.enter("two", "ana", 0, &reject, takes(1));
    assert!(is_in(&one));
    assert!(matches!(&*two.told.borrow(), Told::Refused(_, 10)));
}

#[test]
fn places_are_told_when_they_are_news() {
    let waiter = |told| Waiter {
        wish: Wish { run: String::new(), user: String::new(), priority: 0, limits: vec![], takes: Takes::default() },
        tell: watch::channel(Told::Nothing).0,
        told,
    };
    for (before, place, is_news) in
        [(None, 900, true), (Some(900), 899, false), (Some(900), 450, true), (Some(11), 10, true), (Some(4), 4, false)]
    {
        assert_eq!(waiter(before).is_news(place), is_news, "{before:?} {place}");
    }
}

#[test]
fn behind_those_who_wait_a_no_is_told_at_once() {
    let site = Site::new();
    let limits = [limit("all", "memory", 10)];
    let takes = |memory| Takes { memory, ..Takes::default() };
    let reject = [Limit { when_full: WhenFull::Reject, ..limits[0].clone() }];
    let one = site.enter("one", "ana", 0, &limits, takes(8));
    let large = site.enter("large", "ana", 0, &limits, takes(10));
    assert!(is_in(&one) && position(&large) == 1);
    let full = site.enter("full", "ana", 0, &reject, takes(3));
    assert!(matches!(&*full.told.borrow(), Told::Refused(_, 8)), "{:?}", full.told.borrow());
    let never = site.enter("never", "ana", 0, &limits, takes(11));
    assert!(matches!(&*never.told.borrow(), Told::Refused(..)), "{:?}", never.told.borrow());
    let fits = site.enter("fits", "ana", 0, &reject, takes(2));
    assert!(is_in(&fits), "nobody stands in line for a limit by which nobody waits");
    assert!(!is_in(&large));
}
