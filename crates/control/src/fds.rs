//! Messages of the control socket: a length, JSON, and descriptors that ride along (SCM_RIGHTS): up to `PIECE_FDS` on one
//! piece of the message; more of them on several, each of which carries at least one byte.
//! Reading is bounded and blocking; this is the control thread's business, never a worker's.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use zeroize::Zeroizing;

/// A plan of 5,000 routes is some MiB.
const MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// The kernel's own bound on descriptors that ride on one piece (SCM_MAX_FD).
const PIECE_FDS: usize = 253;
const PIECE_BYTES: usize = 1024 * 1024;

/// Reads one message; `None` when the other side has closed between messages.
pub(crate) fn receive(stream: &mut UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut fds = Vec::new();
    let head = some(stream, 4, &mut fds)?;
    let Ok(head) = <[u8; 4]>::try_from(head.as_slice()) else {
        return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
    };
    let len = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if len > MESSAGE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message too long"));
    }
    let body = some(stream, len, &mut fds)?;
    if body.len() != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((body, fds)))
}

/// The other side has closed behind what it said.
pub(crate) fn is_left(stream: &UnixStream) -> bool {
    let mut one = [0u8; 1];
    matches!(recv(stream, &mut one[..], RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((_, 0)))
}

/// Up to `len` bytes, fewer only at the end; what rides on any of them goes to `fds`. Grows with what comes, not with
/// what was announced.
fn some(stream: &UnixStream, len: usize, fds: &mut Vec<OwnedFd>) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    while data.len() < len {
        let have = data.len();
        data.resize(len.min(have + PIECE_BYTES), 0);
        let n = recv_with_fds(stream, data.get_mut(have..).unwrap_or_default(), fds)?;
        data.truncate(have + n);
        if n == 0 {
            break;
        }
    }
    Ok(data)
}

fn recv_with_fds(stream: &UnixStream, into: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = vec![MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(PIECE_FDS))];
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
    let mut rest = message.as_slice();
    let mut left = fds;
    while !left.is_empty() {
        let (now, later) = left.split_at(left.len().min(PIECE_FDS));
        let piece = if later.is_empty() { rest } else { rest.get(..1).unwrap_or_default() };
        let mut space = vec![MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(PIECE_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if piece.is_empty() || !control.push(SendAncillaryMessage::ScmRights(now)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
        }
        let sent = sendmsg(&*stream, &[IoSlice::new(piece)], &mut control, SendFlags::NOSIGNAL)?;
        rest = rest.get(sent..).unwrap_or_default();
        left = later;
    }
    stream.write_all(rest)
}

/// What a sealed memory file says. It is as long as it is, so that what is read never moves, and is wiped when it is dropped: keys
/// do not stay in freed memory. What rustls keeps, it keeps while it is used.
pub(crate) fn read_sealed<T>(fd: OwnedFd, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let mut file = std::fs::File::from(fd);
    file.rewind().ok()?;
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(file.metadata().ok()?.len()).ok()?]);
    file.read_exact(&mut bytes).ok()?;
    read(&bytes)
}
