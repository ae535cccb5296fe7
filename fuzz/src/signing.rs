//! Asks for signatures, as a taken engine could send them: what is read is a handshake, and only of one kind.

use everyhop_signing::{Answer, Ask, Content, Role};

pub fn signing(data: &[u8]) {
    if let Some(answer) = Answer::read(data) {
        assert_eq!(answer.write(), data);
    }
    if let Ok(ask) = Ask::read(data) {
        assert_eq!(ask.write(), data);
        let signed = ask.content.signed();
        // Whoever verifies reads it as that and as nothing else.
        let role = ask.content.role();
        assert_eq!(Content::of_message(role, &signed), Some(ask.content));
        let other = if role == Role::Server { Role::Client } else { Role::Server };
        assert_eq!(Content::of_message(other, &signed), None);
    }
    for role in [Role::Server, Role::Client] {
        if let Some(content) = Content::of_message(role, data) {
            assert_eq!((&*content.signed(), content.role()), (data, role));
        }
    }
}
