//! What is asked for twice is read once: thousands of hops to one authority hold its roots in memory once.

use everyhop_running::material::Blob;
use serde_json::json;
use std::sync::Arc;

const ROOT: &str = "-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUSzUhzj0EFby6KnmZLkQfpTeNuDQwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEUm9vdDAgFw0yNjExMjYwMjM2MDZaGA8yMTI2MTEwMjAyMzYw
NlowDzENMAsGA1UEAwwEUm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABARB
os6NJU5sPnvk+JRTEi+poVPFhZYBs0cQB+tY7E1h3T3mfGK/PzOMZ7bx1mwXpDrb
OQDEpA8KXyMxvvTBPbqjUzBRMB0GA1UdDgQWBBRKqK55o/DEc5rIUnWmXfoLNHd2
DTAfBgNVHSMEGDAWgBRKqK55o/DEc5rIUnWmXfoLNHd2DTAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIB8IM9TzsHN1NjajoR96ha27GmbWddK4PrBi
SPoSngv/AiEA8wXIIA9du72ghh1Z0VGTFo6inmo5wEqzP93uaj6nuW8=
-----END CERTIFICATE-----
";

#[test]
fn roots_are_read_once_however_many_hops_ask_for_them() {
    let blob = json!({"certs": {}, "cas": {"ca:one": ROOT, "ca:two": ROOT, "ca:none": ""}});
    let blob: Blob = serde_json::from_value(blob).expect("a blob");
    let one = blob.roots("ca:one").expect("roots");
    assert!(Arc::ptr_eq(&one.store, &blob.roots("ca:one").expect("roots").store));
    assert!(
        !Arc::ptr_eq(&one.store, &blob.roots("ca:two").expect("roots").store),
        "by what they are, not by what is in them"
    );
    for _ in 0..2 {
        assert!(blob.roots("ca:none").is_err(), "what cannot be used is never had");
    }
}
