//! Packets on a job socket. What does not fit one goes through a memory file, whose descriptor the packet carries.

use std::{
    fs::File,
    io::{IoSlice, IoSliceMut, Read as _, Seek as _, Write as _},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::{self, Errno},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, socketpair,
    },
};
use zeroize::Zeroizing;

use crate::protocol::{MAX_JOB, MAX_PACKET};

/// Two ends of a new job socket.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends one packet.
pub(crate) fn send_packet(socket: impl AsFd, octets: &[u8], flags: SendFlags) -> io::Result<()> {
    if octets.len() <= MAX_PACKET {
        return send(socket, octets, flags | SendFlags::NOSIGNAL).map(drop);
    }
    let mut file = File::from(memfd_create("job", MemfdFlags::CLOEXEC)?);
    file.write_all(octets)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    send_descriptor(socket, &[0], &file, flags)
}

/// Sends a descriptor with some octets.
pub(crate) fn send_descriptor(
    socket: impl AsFd,
    octets: &[u8],
    descriptor: impl AsFd,
    flags: SendFlags,
) -> io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let octets = [IoSlice::new(octets)];
    sendmsg(socket, &octets, &mut ancillary, flags | SendFlags::NOSIGNAL).map(drop)
}

/// One packet that was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many octets of the buffer. None of them is the end.
    Here(usize),
    /// A long one.
    Long(Zeroizing<Vec<u8>>),
}

impl Received {
    /// The octets, of which a short packet's are in `buffer`; none at the end.
    pub(crate) fn octets<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Here(length) => buffer.get(..*length).unwrap_or_default(),
            Self::Long(octets) => octets,
        }
    }
}

/// Receives one packet, into `buffer` of [`MAX_PACKET`] octets if it is short.
pub(crate) fn receive_packet(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<Received> {
    let (length, descriptor) = receive_descriptor(socket, buffer, flags)?;
    let Some(descriptor) = descriptor else {
        return Ok(Received::Here(length));
    };
    let mut octets = Zeroizing::default();
    let mut file = File::from(descriptor);
    // The offset is where the sender's write ended.
    let read = file.rewind().and_then(|()| file.take(MAX_JOB).read_to_end(&mut octets));
    read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(Received::Long(octets))
}

/// Receives some octets, and the descriptor that came with them.
pub(crate) fn receive_descriptor(
    socket: impl AsFd,
    octets: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(octets)],
        &mut ancillary,
        flags | RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((received.bytes, descriptor))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn packets_keep_their_bounds_and_long_ones_arrive_whole() {
        let (here, there) = pair().unwrap();
        let long: Vec<u8> = (0..MAX_PACKET * 20).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let mut buffer = vec![0; MAX_PACKET];
        for octets in [&b"one"[..], b"two", &long, b"three"] {
            send_packet(&here, octets, SendFlags::DONTWAIT).unwrap();
        }
        for octets in [&b"one"[..], b"two", &long, b"three"] {
            let received = receive_packet(&there, &mut buffer, RecvFlags::empty()).unwrap();
            assert!(received.octets(&buffer) == octets, "{} octets", octets.len());
        }
        let nothing = receive_packet(&there, &mut buffer, RecvFlags::DONTWAIT);
        assert_eq!(nothing, Err(Errno::AGAIN));
        drop(here);
        let end = receive_packet(&there, &mut buffer, RecvFlags::empty()).unwrap();
        assert_eq!(end, Received::Here(0));
    }
}
