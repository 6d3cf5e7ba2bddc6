//! One pace for all uploads: when the service asks to wait, all of them do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Until when nothing is to be sent.
#[derive(Debug, Default)]
pub struct Pace {
    paused_until: Mutex<Option<Instant>>,
}

impl Pace {
    /// Nothing begins for this long, from now. A pause that ends later stays.
    pub fn pause(&self, wait: Duration) {
        let until = Instant::now().checked_add(wait);
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = (*paused).max(until);
    }

    /// Waits until something may begin.
    pub async fn turn(&self) {
        // A pause may have been made longer while this one was waited for.
        while let Some(until) = self.pending() {
            sleep_until(until).await;
        }
    }

    /// Until when nothing may begin, if that is still to come.
    pub fn pending(&self) -> Option<Instant> {
        let paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        paused.filter(|until| *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_pause_holds_for_all() {
        let pace = Pace::default();
        let start = Instant::now();
        pace.turn().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        pace.pause(Duration::from_secs(5));
        pace.pause(Duration::from_secs(2));
        tokio::join!(pace.turn(), pace.turn(), async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            pace.pause(Duration::from_secs(3));
        });
        assert_eq!(start.elapsed().as_secs(), 7);
    }
}
