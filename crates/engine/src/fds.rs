//! Messages of the control socket: a length, JSON, and descriptors that ride along (SCM_RIGHTS).
//! Reading is bounded and blocking; this is the control thread's business, never a worker's.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// A plan of 5,000 routes is some MiB.
const MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// The kernel's own bound on descriptors in one message (SCM_MAX_FD).
const MESSAGE_FDS: usize = 253;

/// Reads one message; `None` when the other side has closed between messages.
pub(crate) fn receive(stream: &mut UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut head = [0u8; 4];
    let mut fds = Vec::new();
    let mut have = 0;
    while have < head.len() {
        let n = recv_with_fds(stream, head.get_mut(have..).unwrap_or_default(), &mut fds)?;
        if n == 0 {
            return if have == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        have += n;
    }
    let len = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if len > MESSAGE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message too long"));
    }
    let mut body = Vec::new();
    // Grows with what comes, not with what was announced.
    Read::take(stream, len as u64).read_to_end(&mut body)?;
    if body.len() != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((body, fds)))
}

fn recv_with_fds(stream: &UnixStream, into: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = vec![MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [IoSliceMut::new(into)];
    let got = recvmsg(stream, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok(got.bytes)
}

pub(crate) fn send(stream: &mut UnixStream, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let len = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut message = len.to_be_bytes().to_vec();
    message.extend_from_slice(body);
    let mut sent = 0;
    if !fds.is_empty() {
        let mut space = vec![MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
        }
        sent = sendmsg(&*stream, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL)?;
    }
    stream.write_all(message.get(sent..).unwrap_or_default())
}
