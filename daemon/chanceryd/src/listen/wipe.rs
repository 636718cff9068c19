//! Wiping of pieces of buffers that others have held. Nothing tells of which buffer a piece is, and only who is the last to hold
//! a buffer can write to it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use zeroize::Zeroize as _;

/// How often, and how many times, it is looked whether whatever else holds a piece has gone.
const AGAIN: (Duration, u32) = (Duration::from_millis(20), 50);

/// Wipes the pieces that are the last of their buffers, each with what lies behind it, and gives back the others.
pub(super) fn unshared(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let mut left = Vec::new();
    for piece in pieces {
        match piece.try_into_mut() {
            Ok(buffer) => wipe(buffer),
            Err(piece) => left.push(piece),
        }
    }
    left
}

/// Wipes all of these. A message that was taken out of its request may still be on its way out; that is waited for, elsewhere.
pub(super) fn all(pieces: Vec<Bytes>) {
    let left = unshared(pieces);
    if left.is_empty() {
        return;
    }
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(later(left))),
        Err(_) => last(left),
    }
}

async fn later(mut left: Vec<Bytes>) {
    let (pause, times) = AGAIN;
    for _ in 0..times {
        tokio::time::sleep(pause).await;
        left = unshared(left);
        if left.is_empty() {
            return;
        }
    }
    last(left);
}

fn last(left: Vec<Bytes>) {
    let lost = one_by_one(left);
    if lost > 0 {
        tracing::warn!(
            pieces = lost,
            "what a closed connection brought with a PIN is still in use and was not wiped from memory"
        );
    }
}

/// Wipes where pieces of one buffer keep one another from being its last. How many were not, because somebody else holds them.
///
/// From the highest to the lowest they are given up, until one is the last of its buffer and reaches over those that were: no
/// piece of another buffer lies between two of one.
fn one_by_one(mut pieces: Vec<Bytes>) -> usize {
    pieces.sort_unstable_by_key(|piece| piece.as_ptr());
    let (mut given_up, mut lost) = (Vec::new(), 0);
    while let Some(piece) = pieces.pop() {
        match piece.try_into_mut() {
            Ok(buffer) => {
                let end = buffer.as_ptr().addr() + buffer.capacity();
                lost += given_up.drain(..).filter(|place| *place >= end).count();
                wipe(buffer);
            }
            Err(piece) => given_up.push(piece.as_ptr().addr()),
        }
    }
    lost + given_up.len()
}

fn wipe(mut buffer: BytesMut) {
    buffer.as_mut().zeroize();
    buffer.spare_capacity_mut().zeroize();
    #[cfg(test)]
    tests::wiped(&buffer);
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use std::cell::RefCell;
    use std::ops::Range;

    use super::*;

    thread_local! {
        static WIPED: RefCell<Vec<Range<usize>>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn wiped(buffer: &BytesMut) {
        let start = buffer.as_ptr().addr();
        WIPED.with_borrow_mut(|wiped| wiped.push(start..start + buffer.capacity()));
    }

    /// Whether the octet there has been wiped, by this thread.
    pub(in super::super) fn was_wiped(place: usize) -> bool {
        WIPED.with_borrow(|wiped| wiped.iter().any(|range| range.contains(&place)))
    }

    /// A buffer as HTTP/2 has it, with one PIN in it and then another, and what is in front of them.
    fn buffer() -> (BytesMut, Bytes, [Bytes; 2]) {
        let mut buffer = BytesMut::with_capacity(64);
        buffer.extend_from_slice(b"header 1234 and 5678 rest");
        let header = buffer.split_to(7).freeze();
        let first = buffer.split_to(4).freeze();
        let _between = buffer.split_to(5);
        let second = buffer.split_to(4).freeze();
        (buffer, header, [first, second])
    }

    fn places(pieces: &[Bytes]) -> Vec<usize> {
        pieces.iter().map(|piece| piece.as_ptr().addr()).collect()
    }

    #[test]
    fn octets_are_wiped_once_nobody_else_holds_their_buffer() {
        let (buffer, header, [pin, _]) = buffer();
        let place = pin.as_ptr().addr();
        let left = unshared(vec![pin]);
        assert_eq!(left.len(), 1, "the buffer and the header hold the same memory");
        drop(header);
        let left = unshared(left);
        assert_eq!(left.len(), 1, "the buffer does");
        drop(buffer);
        assert!(!was_wiped(place));
        assert_eq!(unshared(left).len(), 0);
        assert!(was_wiped(place));
    }

    #[test]
    fn of_two_buffers_with_two_pieces_each_all_four_are_wiped() {
        let ((_, _, one), (_, _, two)) = (buffer(), buffer());
        let pieces = vec![one[1].clone(), two[0].clone(), one[0].clone(), two[1].clone()];
        drop((one, two));
        let places = places(&pieces);
        all(pieces);
        for place in places {
            assert!(was_wiped(place));
        }
    }

    #[test]
    fn a_buffer_that_somebody_else_holds_keeps_no_other_from_being_wiped() {
        for held in 0..2 {
            let mut buffers = [buffer(), buffer()];
            buffers.sort_unstable_by_key(|(buffer, ..)| buffer.as_ptr());
            let header = buffers[held].1.clone();
            let [low, high] = buffers.map(|(_, _, pieces)| pieces);
            let places = [places(&low), places(&high)];
            WIPED.take();
            assert_eq!(one_by_one(low.into_iter().chain(high).collect()), 2);
            assert!(places[1 - held].iter().all(|place| was_wiped(*place)));
            assert!(!places[held].iter().any(|place| was_wiped(*place)));
            drop(header);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_somebody_else_holds_is_waited_for() {
        let (buffer, header, [pin, _]) = buffer();
        let place = pin.as_ptr().addr();
        drop(header);
        all(vec![pin]);
        tokio::time::sleep(AGAIN.0 * 5).await;
        assert!(!was_wiped(place));
        drop(buffer);
        tokio::time::sleep(AGAIN.0 * 2).await;
        assert!(was_wiped(place));
    }
}
