//! What a peer did wrong, in the words of the code, and the number that it is told (RFC 9113 §7).

/// An error code as it stands in RST_STREAM and GOAWAY (RFC 9113 §7): a peer's may be any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    pub const NO_ERROR: Code = Code(0);
    pub const PROTOCOL_ERROR: Code = Code(1);
    pub const INTERNAL_ERROR: Code = Code(2);
    pub const FLOW_CONTROL_ERROR: Code = Code(3);
    pub const SETTINGS_TIMEOUT: Code = Code(4);
    pub const STREAM_CLOSED: Code = Code(5);
    pub const FRAME_SIZE_ERROR: Code = Code(6);
    pub const REFUSED_STREAM: Code = Code(7);
    pub const CANCEL: Code = Code(8);
    pub const COMPRESSION_ERROR: Code = Code(9);
    pub const CONNECT_ERROR: Code = Code(10);
    pub const ENHANCE_YOUR_CALM: Code = Code(11);
    pub const INADEQUATE_SECURITY: Code = Code(12);
    pub const HTTP_1_1_REQUIRED: Code = Code(13);
}

/// What a peer did that it must not. As an error of [`crate::Connection::next`] it ends the connection, in
/// [`crate::Event::Broken`] its stream alone (RFC 9113 §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What came first is not the preface of a client (RFC 9113 §3.4).
    Preface,
    /// Its first frame is no SETTINGS (RFC 9113 §3.4).
    NoSettings,
    /// A frame is longer than it may be, or not as long as its type is (RFC 9113 §4.2).
    FrameSize,
    /// A frame is padded with more than it has (RFC 9113 §6.1).
    Padding,
    /// A frame of a stream came on the connection, or the other way round, or on a stream that its sender cannot open.
    Place,
    /// A frame came on a stream that nobody has opened (RFC 9113 §5.1).
    Idle,
    /// A frame came on a stream that is closed, or whose sender has ended it (RFC 9113 §5.1).
    Closed,
    /// Something came between the frames of a head, or one of them alone (RFC 9113 §6.10).
    Interleaved,
    /// A block cannot be read (RFC 9113 §4.3, RFC 7541).
    Compression,
    /// A setting has a value that it must not have (RFC 9113 §6.5.2, RFC 8441 §3).
    Setting,
    /// It acknowledges settings that nobody sent (RFC 9113 §6.5.3).
    Acknowledged,
    /// More was sent than a window allows, or one was opened too wide (RFC 9113 §6.9).
    Window,
    /// A window was opened by nothing (RFC 9113 §6.9).
    NoIncrement,
    /// A stream depends on itself (RFC 7540 §5.3.1).
    Itself,
    /// A server pushes, or a client does (RFC 9113 §8.4).
    Push,
    /// It goes away for a second time, and names a higher stream (RFC 9113 §6.8).
    GoAway,
    /// Frames that ask for work and carry nothing, or resets, were more than the budget has.
    Flood,
    /// A head is in more frames, or longer in its compressed form, than one may be.
    EndlessHead,
    /// It lets us answer and reads no answers.
    Unread,
    /// More streams are open than may be (RFC 9113 §5.1.2).
    Refused,
    /// Nothing: it was ended from here ([`crate::Connection::abort`]).
    Aborted,
    /// What comes ended within a frame, a head or the preface.
    Truncated,

    /// A field's name is empty, no token, or has upper case (RFC 9113 §8.2.1).
    FieldName,
    /// A field's value has a control character, or white space around it (RFC 9113 §8.2.1).
    FieldValue,
    /// A field is one of HTTP/1.1's connections, or TE says something else than `trailers` (RFC 9113 §8.2.2).
    ConnectionField,
    /// A pseudo-field is unknown, stands twice, behind a field, or where it must not (RFC 9113 §8.3).
    PseudoField,
    /// A pseudo-field is missing (RFC 9113 §8.3.1, §8.3.2, §8.5; RFC 8441 §4).
    Missing,
    /// A method, scheme, authority or path is none (RFC 9113 §8.3.1).
    Target,
    /// A status is none, or is 101, which HTTP/2 does not have (RFC 9113 §8.3.2, §8.6).
    Status,
    /// Content-Length is no number, or two that differ (RFC 9110 §8.6).
    ContentLength,
    /// The body is not as long as it was declared (RFC 9113 §8.1.1).
    BodyLength,
    /// A body came before its head.
    NoHead,
    /// A second head does not end its stream, or an interim answer does (RFC 9113 §8.1).
    HeadAgain,
    /// An answer's head is longer, or has more fields, than was allowed (RFC 9113 §6.5.2).
    HeadTooLong,
}

impl Fault {
    /// What the peer is told.
    pub fn code(self) -> Code {
        match self {
            Fault::FrameSize => Code::FRAME_SIZE_ERROR,
            Fault::Closed => Code::STREAM_CLOSED,
            Fault::Compression => Code::COMPRESSION_ERROR,
            Fault::Window => Code::FLOW_CONTROL_ERROR,
            Fault::Refused => Code::REFUSED_STREAM,
            Fault::Flood | Fault::EndlessHead | Fault::Unread => Code::ENHANCE_YOUR_CALM,
            _ => Code::PROTOCOL_ERROR,
        }
    }
}
