//! The order in which records are applied: a k-way merge of the lanes by event time.
//!
//! The merge takes, again and again, the lowest head by (event time, topic, partition) and keeps each lane's own order.
//! It takes one only while every other lane has a head to compare with or was read to its end, so the order
//! is a function of the logs alone as long as there is a backlog: how they were cut into polls does not show.
//! What analysts do does not wait for that: it goes first, in the order of its lane.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use schemas::time::Timestamp;

/// Merges lanes, numbered by the order in which equal times are taken.
#[derive(Debug)]
pub struct Merge<T> {
    lanes: Vec<Buffer<T>>,
    /// Lanes that go before all others, in their order.
    urgent: Vec<usize>,
    /// The head of every other lane that has one.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Lanes that have no head and may still get an earlier one.
    awaited: usize,
}

#[derive(Debug)]
struct Buffer<T> {
    items: VecDeque<Item<T>>,
    bytes: usize,
    at_end: bool,
    /// What comes now neither waits nor is waited for.
    urgent: bool,
    /// Time of the last item that carried one: an item without goes right after it.
    last: Timestamp,
}

#[derive(Debug)]
struct Item<T> {
    time: Timestamp,
    /// It goes before all that waits.
    passes: bool,
    bytes: usize,
    content: T,
}

/// An item whose turn has come.
#[derive(Debug, Eq, PartialEq)]
pub struct Taken<T> {
    /// Number of its lane.
    pub lane: usize,
    /// The time it was taken at.
    pub time: Timestamp,
    /// What was pushed.
    pub content: T,
}

impl<T> Merge<T> {
    /// Creates the merge of `lanes` lanes, none of them at its end.
    #[must_use]
    pub fn new(lanes: usize) -> Self {
        let empty = || Buffer {
            items: VecDeque::new(),
            bytes: 0,
            at_end: false,
            urgent: false,
            last: Timestamp::MIN,
        };
        Self {
            lanes: (0..lanes).map(|_| empty()).collect(),
            urgent: Vec::new(),
            heads: BinaryHeap::new(),
            awaited: lanes,
        }
    }

    /// Lets what comes into a lane from now on go before all others, behind what is in it: it is taken at once, and never
    /// waited for.
    pub fn let_pass(&mut self, lane: usize) {
        if let Some(buffer) = self.lanes.get_mut(lane)
            && !buffer.urgent
        {
            buffer.urgent = true;
            self.awaited -= usize::from(buffer.items.is_empty() && !buffer.at_end);
            self.urgent.push(lane);
        }
    }

    /// Appends an item to a lane; one without a time of its own goes right after its predecessor.
    pub fn push(&mut self, lane: usize, time: Option<Timestamp>, bytes: usize, content: T) {
        let Some(buffer) = self.lanes.get_mut(lane) else {
            return;
        };
        let time = time.unwrap_or(buffer.last);
        buffer.last = time;
        buffer.bytes += bytes;
        if buffer.items.is_empty() && !buffer.urgent {
            self.heads.push(Reverse((time, lane)));
            self.awaited -= usize::from(!buffer.at_end);
        }
        buffer.items.push_back(Item {
            time,
            passes: buffer.urgent,
            bytes,
            content,
        });
    }

    /// Tells the time of the last item that was taken from a lane before: one without a time of its own follows it.
    pub fn follow(&mut self, lane: usize, time: Timestamp) {
        if let Some(buffer) = self.lanes.get_mut(lane) {
            buffer.last = time;
        }
    }

    /// Tells whether a lane has been read to its end; one that has is not waited for.
    pub fn set_at_end(&mut self, lane: usize, at_end: bool) {
        let Some(buffer) = self.lanes.get_mut(lane) else {
            return;
        };
        if buffer.items.is_empty() && buffer.at_end != at_end && !buffer.urgent {
            if at_end {
                self.awaited -= 1;
            } else {
                self.awaited += 1;
            }
        }
        buffer.at_end = at_end;
    }

    /// Takes the next item, if it is safe to say which one that is.
    pub fn pop(&mut self) -> Option<Taken<T>> {
        if let Some(lane) = self.first_urgent() {
            let buffer = self.lanes.get_mut(lane)?;
            let item = buffer.items.pop_front()?;
            buffer.bytes -= item.bytes;
            return Some(Taken {
                lane,
                time: item.time,
                content: item.content,
            });
        }
        if self.awaited > 0 {
            return None;
        }
        let Reverse((time, lane)) = self.heads.pop()?;
        let buffer = self.lanes.get_mut(lane)?;
        let item = buffer.items.pop_front()?;
        buffer.bytes -= item.bytes;
        match buffer.items.front() {
            Some(next) if next.passes => {}
            Some(next) => self.heads.push(Reverse((next.time, lane))),
            None => self.awaited += usize::from(!buffer.at_end && !buffer.urgent),
        }
        Some(Taken {
            lane,
            time,
            content: item.content,
        })
    }

    /// Returns the item that [`Self::pop`] would take.
    #[must_use]
    pub fn peek(&self) -> Option<&T> {
        if let Some(lane) = self.first_urgent() {
            let item = self.lanes.get(lane)?.items.front()?;
            return Some(&item.content);
        }
        if self.awaited > 0 {
            return None;
        }
        let Reverse((_, lane)) = self.heads.peek()?;
        let item = self.lanes.get(*lane)?.items.front()?;
        Some(&item.content)
    }

    /// Returns the time of a lane's head.
    #[must_use]
    pub fn head(&self, lane: usize) -> Option<Timestamp> {
        self.lanes.get(lane)?.items.front().map(|item| item.time)
    }

    /// Returns the items and bytes buffered in a lane.
    #[must_use]
    pub fn buffered(&self, lane: usize) -> (usize, usize) {
        self.lanes
            .get(lane)
            .map_or((0, 0), |buffer| (buffer.items.len(), buffer.bytes))
    }

    /// Returns whether nothing is buffered, and every lane was read to its end.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        let is_done = |buffer: &Buffer<T>| buffer.at_end && buffer.items.is_empty();
        self.lanes.iter().all(is_done)
    }

    /// Returns whether nothing is buffered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.first_urgent().is_none()
    }

    /// Returns the first lane that goes before all others and holds something.
    fn first_urgent(&self) -> Option<usize> {
        let mut urgent = self.urgent.iter().copied();
        urgent.find(|lane| {
            let buffer = self.lanes.get(*lane);
            let front = buffer.and_then(|buffer| buffer.items.front());
            front.is_some_and(|item| item.passes)
        })
    }
}

#[cfg(test)]
mod tests;
