//! What passes between a caller and an operation: in order, bounded, and no further than the caller listens.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;

fn source(
    pieces: Vec<Result<Bytes, OpError>>,
    limit: u64,
) -> Source<impl Stream<Item = Result<Bytes, OpError>> + Unpin> {
    Source::new(tokio_stream::iter(pieces), limit)
}

fn piece(byte: u8, len: usize) -> Result<Bytes, OpError> {
    Ok(Bytes::from(vec![byte; len]))
}

#[tokio::test]
async fn everything_passes_in_order_and_in_bounded_pieces() {
    let lengths = [1, 0, 16 * 1024, 16 * 1024 + 1, CONTENT_LIMIT, 3, CONTENT_LIMIT];
    let pieces = lengths
        .iter()
        .enumerate()
        .map(|(n, len)| piece(u8::try_from(n).unwrap(), *len))
        .collect();
    let expected: Vec<u8> = lengths
        .iter()
        .enumerate()
        .flat_map(|(n, len)| vec![u8::try_from(n).unwrap(); *len])
        .collect();
    let mut source = source(pieces, u64::MAX);
    let (sink, mut receiver) = Sink::new();
    let work = async {
        let seen = run(&mut source, &sink, 0_usize, |seen, piece, out| {
            *seen += piece.len();
            out.extend_from_slice(piece);
            Ok(())
        })
        .await;
        let (seen, last) = seen.unwrap();
        sink.send(last).await.unwrap();
        drop(sink);
        seen
    };
    let take = async {
        let mut all = Vec::new();
        while let Some(piece) = receiver.recv().await {
            assert!(piece.len() <= PIECE);
            all.extend_from_slice(&piece);
        }
        all
    };
    let (seen, all) = tokio::join!(work, take);
    assert_eq!(seen, expected.len());
    assert!(all == expected);
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_after_what_came_before() {
    let mut source = source(vec![piece(1, 10), piece(2, 10)], 19);
    assert_eq!(source.next().await.unwrap().unwrap().len(), 1);
    let error = source.next().await.unwrap_err();
    assert!(matches!(
        error,
        OpError::Invalid(Invalid::MessageTooLarge { limit: 19 })
    ));
}

#[tokio::test]
async fn a_piece_beyond_the_limit_is_refused() {
    let mut source = source(vec![piece(1, CONTENT_LIMIT + 1)], u64::MAX);
    let error = source.next().await.unwrap_err();
    assert!(matches!(error, OpError::Invalid(Invalid::ContentTooLarge { .. })));
}

#[tokio::test]
async fn what_was_put_back_comes_again() {
    let mut source = source(vec![piece(1, 10), piece(2, 10)], 20);
    let pieces = source.next().await.unwrap().unwrap();
    source.put_back(pieces.clone());
    assert_eq!(source.next().await.unwrap().unwrap(), pieces);
    assert!(source.next().await.unwrap().is_none());
    assert!(source.next().await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_more_is_done_once_nobody_takes_the_answer() {
    let (sink, receiver) = Sink::new();
    drop(receiver);
    let mut source = source(vec![piece(1, GATHERED), piece(2, GATHERED)], u64::MAX);
    let result = run(&mut source, &sink, (), |(), piece, out| {
        out.extend_from_slice(piece);
        Ok(())
    })
    .await;
    assert!(matches!(result, Err(OpError::Cancelled(_))));
}

#[tokio::test]
async fn nothing_that_is_ready_waits_for_the_caller() {
    let (sink, mut receiver) = Sink::new();
    let (sender, pieces) = mpsc::channel(1);
    let mut source = Source::new(tokio_stream::wrappers::ReceiverStream::new(pieces), u64::MAX);
    let work = async {
        run(&mut source, &sink, (), |(), piece, out| {
            out.extend_from_slice(piece);
            Ok(())
        })
        .await
    };
    // Sends the next piece only once the one before has come back.
    let in_turns = async {
        for byte in [1, 2] {
            sender.send(piece(byte, 10)).await.unwrap();
            assert_eq!(receiver.recv().await.unwrap(), vec![byte; 10]);
        }
        drop(sender);
    };
    let (result, ()) = tokio::join!(work, in_turns);
    let ((), last) = result.unwrap();
    assert!(last.is_empty());
}

#[tokio::test]
async fn what_is_short_is_left_to_go_with_the_end() {
    let (sink, mut receiver) = Sink::new();
    let mut source = source(vec![piece(1, 10), piece(2, GATHERED - 11)], u64::MAX);
    let result = run(&mut source, &sink, (), |(), piece, out| {
        out.extend_from_slice(piece);
        Ok(())
    })
    .await;
    let ((), last) = result.unwrap();
    assert_eq!(last.len(), GATHERED - 1);
    assert!(receiver.try_recv().is_err());
}
