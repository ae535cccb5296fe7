//! Why a message is not acceptable HTTP/1.1: a closed list. For a response any of them is the backend's fault (502).

macro_rules! refused {
    ($($name:ident $slug:literal $status:literal $sentence:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Refused { $($name,)* }

        impl Refused {
            pub const ALL: &[Refused] = &[$(Refused::$name,)*];

            /// Never changes its meaning.
            pub fn slug(self) -> &'static str {
                match self { $(Refused::$name => $slug,)* }
            }

            /// What a client that sent it is answered.
            pub fn status(self) -> u16 {
                match self { $(Refused::$name => $status,)* }
            }

            pub fn sentence(self) -> &'static str {
                match self { $(Refused::$name => $sentence,)* }
            }
        }
    };
}

refused! {
    BareLf "http1/bare-lf" 400 "a line ends with LF alone";
    BareCr "http1/bare-cr" 400 "a CR stands alone";
    RequestLine "http1/request-line" 400 "the request line is not method, target and version with one space between";
    Method "http1/method" 400 "the method is no token";
    Target "http1/target" 400 "the target has a byte that must not be there";
    TargetTooLong "http1/target-too-long" 414 "the target is longer than limits.target_bytes";
    Version "http1/version" 505 "the version is neither HTTP/1.1 nor HTTP/1.0";
    HeadTooLong "http1/head-too-long" 431 "the head is longer than limits.head_bytes";
    TooManyFields "http1/too-many-fields" 431 "the head has more fields than limits.head_fields";
    Fold "http1/folded-field" 400 "a field is folded over two lines";
    FieldName "http1/field-name" 400 "a field's name is empty, is no token or has a space before its colon";
    FieldValue "http1/field-value" 400 "a field's value has a control character";
    NoHost "http1/no-host" 400 "an HTTP/1.1 request needs exactly one Host";
    TwoHosts "http1/two-hosts" 400 "a request has at most one Host";
    TwoAuthorizations "http1/two-authorizations" 400 "a request has at most one Authorization";
    ContentLength "http1/content-length" 400 "Content-Length is not one plain number";
    TwoContentLengths "http1/two-content-lengths" 400 "Content-Length occurs twice";
    ConflictingFraming "http1/conflicting-framing" 400 "Content-Length and Transfer-Encoding contradict each other";
    TransferEncoding "http1/transfer-encoding" 501 "a Transfer-Encoding other than a single chunked is not understood";
    TransferEncodingIn10 "http1/transfer-encoding-in-1.0" 400 "HTTP/1.0 has no Transfer-Encoding";
    Expectation "http1/expectation" 417 "an expectation other than 100-continue is not understood";
    ConnectionField "http1/connection-field" 400 "Connection is not a list of tokens";
    ChunkSize "http1/chunk-size" 400 "a chunk's size is not a plain hexadecimal number";
    ChunkExtension "http1/chunk-extension" 400 "chunk extensions are malformed or too long";
    ChunkEnd "http1/chunk-end" 400 "a chunk's data does not end where its size says";
    Trailer "http1/trailer" 400 "the trailer section is malformed";
    TrailerTooLong "http1/trailer-too-long" 431 "the trailers are longer than limits.head_bytes, or more than limits.head_fields";
    StatusLine "http1/status-line" 502 "the status line is malformed";
}
