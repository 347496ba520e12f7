use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at once that haven't shown a ticket.
const ALL: usize = 512;
/// The same, from one address: a container that makes thousands takes no place from another.
const OF_AN_ADDRESS: usize = 32;

/// The connections that haven't shown a ticket, by where they come from.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of one of them, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    strangers: Arc<Strangers>,
    address: IpAddr,
}

impl Strangers {
    /// A place for a connection from this address, if there is one.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Stranger> {
        let mut by_address = self.by_address();
        if by_address.values().sum::<usize>() >= ALL
            || by_address.get(&address).is_some_and(|count| *count >= OF_AN_ADDRESS)
        {
            return None;
        }
        *by_address.entry(address).or_default() += 1;
        Some(Stranger { strangers: Arc::clone(self), address })
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut by_address = self.strangers.by_address();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_take_all_places() {
        let strangers = Arc::new(Strangers::default());
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut all: Vec<Stranger> = (0..OF_AN_ADDRESS).map(|_| strangers.admit(address(1)).unwrap()).collect();
        assert!(strangers.admit(address(1)).is_none());
        let other = strangers.admit(address(2)).unwrap();
        all.pop();
        all.push(strangers.admit(address(1)).unwrap());
        for last in 3..=u8::MAX {
            all.extend((0..OF_AN_ADDRESS).map_while(|_| strangers.admit(address(last))));
        }
        assert_eq!(all.len() + 1, ALL);
        drop((all, other));
        assert!(strangers.by_address().is_empty());
    }
}
