//! Keys that are held apart, by whoever is at the other end of their lines: here by the tests, which hear what is asked and answer
//! it.

mod answered;
mod gone;
mod kinds;
mod waited;

use crate::kit::tlv;
use everyhop_running::apart::{Lines, Patience, through};
use everyhop_signing::{Answer, Ask, Content, KeyId, LONGEST_BYTES, No, Role};
use everyhop_transport::line::Line;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::Signer;
use rustls::{Error, SignatureScheme};
use std::io;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What no test waits for to pass.
const LONG: Duration = Duration::from_secs(12);
/// Less than that, and far above each patience that is to pass, for machines that are busy.
const LONGEST: Duration = Duration::from_secs(10);
const PATIENT: Patience = Patience { answer: LONG, little: LONG, back: LONG, whole: LONG, gone: Duration::MAX };

const ECDSA_P256: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const HASH: [u8; 32] = [5; 32];
const OF_SERVER: Content<'static> = Content::Tls13(Role::Server, &HASH);
const OF_CLIENT: Content<'static> = Content::Tls13(Role::Client, &HASH);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn lines(patience: Patience) -> &'static Lines {
    Box::leak(Box::new(Lines::new(patience)))
}

/// Lines to another holder, and its ends of them.
fn open<const N: usize>(lines: &Lines) -> [Holder; N] {
    let mut ours = Vec::new();
    let theirs = [(); N].map(|()| {
        let (here, there) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a line");
        ours.push(here);
        Holder(Line::new(there))
    });
    lines.open(ours);
    theirs
}

/// Who holds the keys, at one line.
struct Holder(Line);

/// What was asked of it.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    number: u64,
    key: KeyId,
    scheme: u16,
    role: Role,
    message: Vec<u8>,
}

impl Holder {
    fn heard(&self, within: Duration) -> io::Result<Asked> {
        let mut room = vec![0; LONGEST_BYTES];
        let len = self.0.hear(&mut room, Instant::now() + within)?;
        let Ask { number, key, scheme, content } = Ask::read(&room[..len]).expect("an ask");
        Ok(Asked { number, key, scheme, role: content.role(), message: content.signed().into_owned() })
    }

    fn asked(&self) -> Asked {
        self.heard(LONG).expect("an ask")
    }

    /// Whether whoever asked at this line left it.
    fn is_left(&self) -> bool {
        self.heard(LONG).is_err_and(|e| e.kind() != io::ErrorKind::TimedOut)
    }

    fn says(&self, number: u64, signed: Result<Vec<u8>, No>) {
        self.0.say(&Answer { number, signed }.write(), Instant::now() + LONG).expect("said");
    }

    /// Answers the next ask, and gives its number.
    fn answers(&self, signed: Result<Vec<u8>, No>) -> u64 {
        let number = self.asked().number;
        self.says(number, signed);
        number
    }
}

/// Which of them is asked next.
fn asked_of(holders: &[Holder]) -> usize {
    let until = Instant::now() + LONG;
    let mut all = holders.iter().enumerate().cycle();
    all.find_map(|(at, it)| {
        assert!(Instant::now() < until, "an ask");
        it.heard(ms(5)).is_ok().then_some(at)
    })
    .expect("a line")
}

/// The public half of a key of P-256, as far as anybody looks at it here.
fn public() -> SubjectPublicKeyInfoDer<'static> {
    spki(ECDSA_P256, 65)
}

/// Of a key with so many bytes.
fn spki(algorithm: &[u8], len: usize) -> SubjectPublicKeyInfoDer<'static> {
    tlv(0x30, &[&tlv(0x30, &[algorithm]), &tlv(3, &[&[0], &vec![4; len]])]).into()
}

fn signer(lines: &'static Lines, role: Role) -> Box<dyn Signer> {
    let key = through(lines, public(), role).expect("a key");
    key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).expect("its scheme")
}

/// What a server has signed in its handshake, or the word for why it is not.
fn signed(lines: &'static Lines) -> Result<Vec<u8>, String> {
    signed_of(&*signer(lines, Role::Server), &OF_SERVER.signed())
}

fn signed_of(signer: &dyn Signer, message: &[u8]) -> Result<Vec<u8>, String> {
    signer.sign(message).map_err(|e| match e {
        Error::General(why) => why,
        other => panic!("{other}"),
    })
}

/// As [`signed`], beside what the test does.
fn signing(lines: &'static Lines) -> JoinHandle<Result<Vec<u8>, String>> {
    std::thread::spawn(move || signed(lines))
}

fn ended(it: JoinHandle<Result<Vec<u8>, String>>) -> Result<Vec<u8>, String> {
    it.join().expect("it ended")
}

/// As [`signed`], and how long it took.
fn timed(lines: &'static Lines) -> (Result<Vec<u8>, String>, Duration) {
    let began = Instant::now();
    (signed(lines), began.elapsed())
}

/// How many were signed, refused and never answered.
fn counted(lines: &Lines) -> [u64; 3] {
    let it = &lines.counts;
    [&it.signed, &it.refused, &it.silent].map(|it| it.load(Ordering::Relaxed))
}
