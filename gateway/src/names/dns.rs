//! Answers to the queries of a guest's resolver. It is an authority for
//! everything: what it does not know does not exist.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// Most bytes of a query that is looked at. With one question of at most 255
/// bytes and the options of EDNS, a sound one is much shorter.
pub(crate) const MAX_QUERY: usize = 1024;
/// Most addresses in an answer, so that it fits into 512 bytes with any name.
const MAX_ADDRESSES: usize = 8;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// There is no such name.
    Unknown,
    /// There is, with these addresses, of both families.
    Known(Vec<IpAddr>),
}

/// The answer to a query, by what `lookup` says of a name in lower case
/// without the dot at its end. `None` if what came is not even answerable.
pub(crate) fn answer(query: &[u8], lookup: impl FnOnce(&str) -> Lookup) -> Option<Vec<u8>> {
    if query.len() > MAX_QUERY {
        return None;
    }
    if !has_what_it_counts(query) {
        return refuse_header(query);
    }
    let Ok(query) = Message::from_vec(query) else {
        return refuse_header(query);
    };
    // Answers are not answered: two resolvers could go on for ever.
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.authoritative = true;
    response.metadata.response_code = if query.metadata.op_code != OpCode::Query {
        ResponseCode::NotImp
    } else if query.queries.len() != 1 {
        ResponseCode::FormErr
    } else {
        fill(&mut response, &query, lookup)
    };
    response.to_vec().ok()
}

/// Whether a message is long enough for the questions and records that its header counts (RFC 1035,
/// 4.1). The library makes room for them on its word: megabytes for twelve bytes.
fn has_what_it_counts(message: &[u8]) -> bool {
    const HEADER: usize = 12;
    /// The root's name, type and class; and for records, lifetime and length.
    const QUESTION: usize = 1 + 4;
    const RECORD: usize = QUESTION + 6;
    let Some((header, rest)) = message.split_at_checked(HEADER) else {
        return false;
    };
    let (counts, _) = header[4..].as_chunks::<2>();
    let least = counts.iter().enumerate().map(|(section, count)| {
        let each = if section == 0 { QUESTION } else { RECORD };
        each * usize::from(u16::from_be_bytes(*count))
    });
    least.sum::<usize>() <= rest.len()
}

fn fill(
    response: &mut Message,
    query: &Message,
    lookup: impl FnOnce(&str) -> Lookup,
) -> ResponseCode {
    let Some(question) = query.queries.first() else {
        return ResponseCode::FormErr;
    };
    response.add_query(question.clone());
    if question.query_class() != DNSClass::IN {
        return ResponseCode::Refused;
    }
    let name = question.name();
    match lookup(&host_name(name)) {
        Lookup::Unknown => ResponseCode::NXDomain,
        Lookup::Known(addresses) => {
            let wanted = |ip: &IpAddr| match question.query_type() {
                RecordType::A => ip.is_ipv4(),
                RecordType::AAAA => ip.is_ipv6(),
                RecordType::ANY => true,
                _ => false,
            };
            for ip in addresses.into_iter().filter(wanted).take(MAX_ADDRESSES) {
                let data = match ip {
                    IpAddr::V4(ip) => RData::A(ip.into()),
                    IpAddr::V6(ip) => RData::AAAA(ip.into()),
                };
                // Grants change: nothing is to be remembered.
                response.add_answer(Record::from_rdata(name.clone(), 0, data));
            }
            ResponseCode::NoError
        }
    }
}

/// A name as it is looked up. Bytes that no host name has are as they are, and
/// match nothing.
fn host_name(name: &Name) -> String {
    let labels = name
        .iter()
        .map(|label| String::from_utf8_lossy(label).to_ascii_lowercase());
    labels.collect::<Vec<_>>().join(".")
}

/// FORMERR for what has at least a number to be answered to.
fn refuse_header(query: &[u8]) -> Option<Vec<u8>> {
    let (id, rest) = query.split_first_chunk::<2>()?;
    if query.len() < 12 || rest[0] & 0x80 != 0 {
        return None;
    }
    let mut response = Message::response(u16::from_be_bytes(*id), OpCode::Query);
    response.metadata.response_code = ResponseCode::FormErr;
    response.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use proptest::prelude::*;

    use super::*;

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = 4711;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn known(name: &str) -> Lookup {
        match name {
            "gateway" => Lookup::Known(vec![
                "10.0.0.1".parse().unwrap(),
                "fd00::1".parse().unwrap(),
            ]),
            "many" => Lookup::Known(
                (1..100)
                    .map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 2, n]))
                    .collect(),
            ),
            _ => Lookup::Unknown,
        }
    }

    fn ask(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
        let bytes = answer(&query(name, kind), known).unwrap();
        assert!(bytes.len() <= 512);
        let message = Message::from_vec(&bytes).unwrap();
        assert_eq!(message.metadata.id, 4711);
        assert!(message.metadata.recursion_desired && message.metadata.recursion_available);
        let answers = message.answers.iter().map(|record| record.data.to_string());
        (message.metadata.response_code, answers.collect())
    }

    #[test]
    fn known_names_have_addresses_of_both_families() {
        let found = |text: &str| (ResponseCode::NoError, vec![text.to_owned()]);
        assert_eq!(ask("gateway.", RecordType::A), found("10.0.0.1"));
        assert_eq!(ask("GateWay", RecordType::AAAA), found("fd00::1"));
        assert_eq!(
            ask("gateway.", RecordType::MX),
            (ResponseCode::NoError, vec![])
        );
        assert_eq!(
            ask("gateway.example.", RecordType::A),
            (ResponseCode::NXDomain, vec![])
        );
        assert_eq!(ask("many.", RecordType::AAAA).1.len(), MAX_ADDRESSES);
    }

    #[test]
    fn what_is_no_query_is_refused_or_not_answered() {
        let code = |bytes: &[u8]| {
            let bytes = answer(bytes, known)?;
            Some(Message::from_vec(&bytes).unwrap().metadata.response_code)
        };
        let sound = query("gateway.", RecordType::A);
        let mut response = sound.clone();
        response[2] |= 0x80;
        assert_eq!(code(&response), None);
        let mut update = sound.clone();
        update[2] |= 5 << 3;
        assert!(matches!(
            code(&update),
            Some(ResponseCode::NotImp | ResponseCode::FormErr)
        ));
        assert_eq!(code(&sound[..sound.len() - 1]), Some(ResponseCode::FormErr));
        assert_eq!(code(&sound[..11]), None);
        let mut none = sound.clone();
        none[5] = 0;
        assert!(matches!(code(&none), Some(ResponseCode::FormErr)));
        let mut chaos = sound;
        let class = chaos.len() - 1;
        chaos[class] = 3;
        assert_eq!(code(&chaos), Some(ResponseCode::Refused));
        assert_eq!(code(&[0; MAX_QUERY + 1]), None);
    }

    #[test]
    fn names_that_point_at_themselves_end() {
        // A compressed name whose pointer leads to itself (RFC 1035, 4.1.4).
        let mut bytes = query("gateway.", RecordType::A)[..12].to_vec();
        bytes.extend([0xc0, 12, 0, 1, 0, 1]);
        let bytes = answer(&bytes, known).unwrap();
        assert_eq!(
            Message::from_vec(&bytes).unwrap().metadata.response_code,
            ResponseCode::FormErr
        );
    }

    proptest! {
        #[test]
        fn nothing_panics_and_answers_are_short(
            noise in prop::collection::vec(any::<u8>(), 0..80),
            cut in 0..40_usize,
            at in 0..40_usize,
            to in any::<u8>(),
        ) {
            let mut bytes = query("gateway.", RecordType::A);
            bytes.truncate(cut.max(12));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            for bytes in [&noise, &bytes, &[&bytes[..], &noise].concat()] {
                if let Some(answered) = answer(bytes, known) {
                    prop_assert!(answered.len() <= 512);
                    prop_assert!(Message::from_vec(&answered).is_ok());
                }
            }
        }
    }
}
