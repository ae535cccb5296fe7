//! By what tokens may be signed: public keys alone (RFC 7518 §3.3 to §3.5, RFC 8037). What both sides would have to know,
//! HS256 and its kin, and `none` have no place here.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    pub const ALL: [Algorithm; 10] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::EdDsa,
    ];

    /// As `alg` has it, in exactly that case.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// `Ed25519` is the name that RFC 9864 gives to what is still called `EdDSA` nearly everywhere; no other curve of it is
    /// known here.
    pub fn named(name: &str) -> Option<Algorithm> {
        if name == "Ed25519" {
            return Some(Algorithm::EdDsa);
        }
        Algorithm::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Those of RSA, with what they verify by: never a key below 2048 bits.
    pub(crate) fn of_rsa() -> [(Algorithm, &'static RsaParameters); 6] {
        [
            (Algorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256),
            (Algorithm::Rs384, &RSA_PKCS1_2048_8192_SHA384),
            (Algorithm::Rs512, &RSA_PKCS1_2048_8192_SHA512),
            (Algorithm::Ps256, &RSA_PSS_2048_8192_SHA256),
            (Algorithm::Ps384, &RSA_PSS_2048_8192_SHA384),
            (Algorithm::Ps512, &RSA_PSS_2048_8192_SHA512),
        ]
    }

    /// The one of a curve, with what it verifies by and how long a coordinate is.
    pub(crate) fn of_curve(
        crv: &str,
    ) -> Option<(Algorithm, &'static dyn aws_lc_rs::signature::VerificationAlgorithm, usize)> {
        match crv {
            "P-256" => Some((Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32)),
            "P-384" => Some((Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48)),
            "P-521" => Some((Algorithm::Es512, &ECDSA_P521_SHA512_FIXED, 66)),
            _ => None,
        }
    }
}
