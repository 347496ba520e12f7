//! The set for the next run, which changes with the files.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

use crate::gate::Gate;
use crate::set::ComponentSet;

/// The components as they are on disk: what the next run is judged by.
#[derive(Debug)]
pub struct LiveSet {
    set: RwLock<Arc<ComponentSet>>,
    /// Whoever finds something new loads it; the others wait for that instead of loading the same.
    turn: Mutex<()>,
}

impl LiveSet {
    /// Begins with a set that was just loaded.
    #[must_use]
    pub fn new(set: ComponentSet) -> Self {
        Self { set: RwLock::new(Arc::new(set)), turn: Mutex::new(()) }
    }

    /// The set of now: every change that was whole on disk before this call is in it, unless it is held back.
    ///
    /// Most often nothing changed, which takes a few looks at files; else it waits until what changed is compiled. Ask it once for
    /// a run, and let the run end with what it got. Another `gate` than before has everything loaded anew; none leaves it as it was.
    pub async fn current(&self, gate: Option<Gate>) -> Arc<ComponentSet> {
        let set = self.in_use();
        let looked = Arc::clone(&set);
        let wanted = gate.clone();
        let is_current = move || wanted.is_none_or(|gate| gate == *looked.gate()) && looked.is_current();
        if tokio::task::spawn_blocking(is_current).await.unwrap_or(false) {
            return set;
        }
        let _turn = self.turn.lock().await;
        // Perhaps somebody else has loaded it by now.
        let set = self.in_use();
        let looked = Arc::clone(&set);
        let look = move || match gate {
            Some(gate) if gate != *looked.gate() => Some(looked.behind(gate)),
            _ => looked.reload(),
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Some(fresh)) => {
                let fresh = Arc::new(fresh);
                *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
                fresh
            }
            _ => set,
        }
    }

    fn in_use(&self) -> Arc<ComponentSet> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }
}
