use proptest::prelude::*;
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::token::Verb;

use super::*;

const KEY: RootKey = RootKey::from_bytes([7; 32]);

fn instances() -> impl Strategy<Value = (InstanceId, Incarnation)> {
    // Few, so that tokens and questions meet.
    (0..3_u8, 0..2_u64).prop_map(|(id, inc)| (InstanceId::new([id; 6]), Incarnation(inc)))
}

fn transports() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)]
}

fn verbs() -> impl Strategy<Value = Verb> {
    prop::sample::select(Verb::ALL.to_vec())
}

fn caveats() -> impl Strategy<Value = Caveat> {
    prop_oneof![
        instances().prop_map(|(id, incarnation)| Caveat::Instance { id, incarnation }),
        prop::collection::vec(verbs(), 0..12).prop_map(Caveat::Verbs),
        (0..4_u64).prop_map(Caveat::Expires),
        instances().prop_map(|(id, incarnation)| Caveat::Holder { id, incarnation }),
        (0..3_u16, transports()).prop_map(|(port, transport)| Caveat::Slot { port, transport }),
        "[ab]{1,2}".prop_map(Caveat::Network),
    ]
}

fn principals() -> impl Strategy<Value = Principal> {
    prop_oneof![
        Just(Principal::Operator),
        "[a-z0-9._-]{1,64}".prop_map(Principal::Client),
        instances().prop_map(|(id, incarnation)| Principal::Instance(id, incarnation)),
    ]
}

prop_compose! {
    fn chains()(principal in principals(), caveats in prop::collection::vec(caveats(), 0..6)) -> Chain {
        let chain = KEY.mint(principal).unwrap();
        caveats.into_iter().fold(chain, |chain, caveat| chain.narrow(caveat).unwrap())
    }
}

prop_compose! {
    fn questions()(
        verb in verbs(),
        target in prop::option::of(instances()),
        slot in prop::option::of((0..3_u16, transports())),
        network in prop::option::of(prop::sample::select(vec!["a", "b", "ab"])),
        holder in prop::option::of(instances()),
        now_ms in 0..5_u64,
    ) -> Asked<'static> {
        Asked { verb, target, slot, network, holder, now_ms }
    }
}

proptest! {
    #[test]
    fn a_token_is_read_as_it_was_written(chain in chains()) {
        let read = Chain::parse(&chain.token()).unwrap();
        prop_assert_eq!(&read, &chain);
        prop_assert_eq!(read.token(), chain.token());
        prop_assert!(KEY.verify(&read).unwrap().contains(&read.revocation_name()));
    }

    #[test]
    fn narrowing_never_widens(chain in chains(), caveat in caveats(), asked in questions()) {
        let narrow = chain.clone().narrow(caveat).unwrap();
        prop_assert!(KEY.verify(&narrow).is_ok());
        if asked.permitted_by(narrow.caveats()).is_ok() {
            prop_assert_eq!(asked.permitted_by(chain.caveats()), Ok(()));
        }
        prop_assert_eq!(narrow.principal(), chain.principal());
    }

    #[test]
    fn a_caveat_cannot_be_taken_away_or_changed(chain in chains(), caveat in caveats(), other in caveats()) {
        let narrow = chain.clone().narrow(caveat.clone()).unwrap();
        let without = Chain { caveats: chain.caveats.clone(), ..narrow.clone() };
        prop_assert_eq!(KEY.verify(&without), Err(Forged));
        if codec::normal(other.clone()) != codec::normal(caveat) {
            let mut changed = narrow;
            changed.caveats.pop();
            changed.caveats.push(codec::normal(other));
            prop_assert_eq!(KEY.verify(&changed), Err(Forged));
        }
    }

    #[test]
    fn a_token_of_another_node_is_refused(chain in chains(), key in any::<[u8; 32]>()) {
        prop_assume!(key != *KEY.bytes());
        prop_assert_eq!(RootKey::from_bytes(key).verify(&chain), Err(Forged));
    }

    #[test]
    fn revoking_hits_what_was_narrowed_and_nothing_else(
        chain in chains(), here in caveats(), there in caveats(),
    ) {
        prop_assume!(codec::normal(here.clone()) != codec::normal(there.clone()));
        // Nobody has a token that is neither held nor narrowed, and it is revoked with the held one.
        prop_assume!(!chain.caveats().is_empty() || Some(&here) != chain.principal().holder().as_ref());
        let revoked = chain.clone().narrow(here).unwrap();
        let below = revoked.clone().narrow(Caveat::Expires(9)).unwrap();
        let beside = chain.clone().narrow(there).unwrap();
        let name = revoked.revocation_name();
        prop_assert!(KEY.verify(&below).unwrap().contains(&name));
        prop_assert!(!KEY.verify(&beside).unwrap().contains(&name));
        prop_assert!(!KEY.verify(&chain).unwrap().contains(&name));
    }

    #[test]
    fn what_is_released_is_wider_for_other_holders_only(chain in chains(), asked in questions()) {
        prop_assume!(!chain.is_held());
        let holder = chain.principal().holder();
        let held = holder.into_iter().try_fold(KEY.mint(chain.principal().clone()).unwrap(), Chain::narrow);
        let held = chain.caveats().iter().cloned().try_fold(held.unwrap(), Chain::narrow).unwrap();
        let released = KEY.release(&held);
        prop_assert_eq!(released.caveats(), chain.caveats());
        prop_assert!(KEY.verify(&released).unwrap().contains(&held.revocation_name()));
        let holder = match *chain.principal() {
            Principal::Instance(id, incarnation) => Some((id, incarnation)),
            _ => asked.holder,
        };
        let asked = Asked { holder, ..asked };
        prop_assert_eq!(asked.permitted_by(released.caveats()), asked.permitted_by(held.caveats()));
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Chain::parse(&Token::new(text));
        let spelled = format!("uct1_{}", data_encoding::BASE64URL_NOPAD.encode(&bytes));
        if let Ok(chain) = Chain::parse(&Token::new(spelled.clone())) {
            prop_assert_eq!(KEY.verify(&chain), Err(Forged));
            let token = chain.token();
            prop_assert_eq!(token.reveal(), spelled);
        }
    }
}

/// A token with one caveat of each kind.
fn full() -> Chain {
    let id = InstanceId::new([1, 2, 3, 4, 5, 6]);
    let incarnation = Incarnation(77);
    [
        Caveat::Instance { id, incarnation },
        Caveat::Verbs(vec![Verb::Connect, Verb::Network]),
        Caveat::Expires(1 << 40),
        Caveat::Holder { id, incarnation },
        Caveat::Slot {
            port: 80,
            transport: Transport::Udp,
        },
        Caveat::Network("bitcoin-mainnet".to_owned()),
    ]
    .into_iter()
    .fold(
        KEY.mint(Principal::Client("alice".to_owned())).unwrap(),
        |chain, caveat| chain.narrow(caveat).unwrap(),
    )
}

#[test]
fn a_token_of_which_any_byte_was_changed_is_refused() {
    let text = full().token().reveal().to_owned();
    let accepted = |text: String| {
        Chain::parse(&Token::new(text)).is_ok_and(|chain| KEY.verify(&chain).is_ok())
    };
    assert!(accepted(text.clone()));
    for at in 0..text.len() {
        for to in (0..128_u8).map(char::from) {
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to.to_string());
            assert_eq!(
                accepted(changed),
                text[at..].starts_with(to),
                "byte {at} as {to:?}"
            );
        }
        assert!(!accepted(text[..at].to_owned()), "cut at {at}");
    }
    assert!(!accepted(format!("{text}A")));
    assert!(!accepted(format!("{text}=")));
}

#[test]
fn a_caveat_that_is_not_known_refuses() {
    let chain = KEY.mint(Principal::Operator).unwrap();
    let write = |kind: u8, body: &[u8]| {
        let mut caveat = vec![kind];
        caveat.extend((body.len() as u16).to_be_bytes());
        caveat.extend(body);
        let mut bytes = codec::head(&chain.nonce, &chain.principal);
        bytes.push(1);
        bytes.extend(&caveat);
        // Signed as a holder could.
        bytes.extend(link(chain.signature.as_bytes(), CAVEAT, &caveat).as_bytes());
        let text = format!("uct1_{}", data_encoding::BASE64URL_NOPAD.encode(&bytes));
        Chain::parse(&Token::new(text)).map(|chain| KEY.verify(&chain).is_ok())
    };
    assert_eq!(write(3, &[0; 8]), Ok(true));
    assert_eq!(write(7, b""), Err(BadToken::UnknownCaveat));
    assert_eq!(write(0, b""), Err(BadToken::UnknownCaveat));
    assert_eq!(
        write(2, &[0x80, 0x00, 0x00, 0x00]),
        Err(BadToken::UnknownCaveat)
    );
    assert_eq!(write(5, &[0, 80, 7]), Err(BadToken::UnknownCaveat));
    assert_eq!(write(3, &[0; 9]), Err(BadToken::Form));
    assert_eq!(write(6, b""), Err(BadToken::NetworkName));
}

#[test]
fn tokens_are_bounded_and_not_printed() {
    let mut chain = KEY.mint(Principal::Operator).unwrap();
    for _ in 0..MAX_CAVEATS {
        chain = chain.narrow(Caveat::Expires(1)).unwrap();
    }
    assert_eq!(
        chain.clone().narrow(Caveat::Expires(1)),
        Err(BadToken::TooManyCaveats)
    );
    let text = chain.token().reveal().to_owned();
    assert!(text.len() <= MAX_TOKEN_LEN);
    let said = format!("{chain:?} {KEY:?} {:?}", chain.token());
    assert!(
        !said.contains(&text[10..30]) && !said.contains(&chain.signature.to_hex()[..8]),
        "{said}"
    );
    let long = Caveat::Network("n".repeat(MAX_NETWORK_LEN + 1));
    assert_eq!(full().narrow(long), Err(BadToken::NetworkName));
}
