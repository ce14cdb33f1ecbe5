use proptest::prelude::*;
use unicell_gateway_api::network::Endpoint;

use super::*;

fn id(number: u8) -> InstanceId {
    InstanceId::new([number; 6])
}

fn network(tags: &[&str]) -> Descriptor {
    Descriptor {
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        ..Descriptor::default()
    }
}

fn need(tags: &[&str]) -> NetworkNeed {
    NetworkNeed {
        network: network(tags),
        protocols: Vec::new(),
    }
}

fn party(number: u8, networks: &[&[&str]]) -> Party {
    Party {
        id: Some(id(number)),
        needs: networks.iter().map(|tags| need(tags)).collect(),
        slots: vec![Slot {
            port: 80,
            ..Slot::default()
        }],
        ..Party::default()
    }
}

fn policy(tags: &[&str], endpoints: &[&str]) -> NetworkPolicy {
    NetworkPolicy {
        network: network(tags),
        instances: true,
        endpoints: endpoints
            .iter()
            .map(|address| Endpoint {
                address: address.parse().unwrap(),
                transport: Transport::Tcp,
            })
            .collect(),
    }
}

fn who(reachable: &[Reachable]) -> Vec<Member> {
    reachable.iter().map(|reachable| reachable.member).collect()
}

const OUTSIDE: &str = "192.0.2.1:8333";

fn outside() -> Member {
    Member::Endpoint(OUTSIDE.parse().unwrap(), Transport::Tcp)
}

#[test]
fn formal_bytes_go_before_tags_and_prose_never_counts() {
    let make = |tag: &str, formal: &[u8]| Descriptor {
        formal: formal.to_vec(),
        prose: "the same".to_owned(),
        ..network(&[tag])
    };
    assert!(matches(&make("a", b"1"), &make("b", b"1")));
    assert!(!matches(&make("a", b"1"), &make("a", b"2")));
    assert!(matches(&make("a", b""), &make("a", b"2")));
    assert!(!matches(&make("a", b""), &make("b", b"")));
    assert!(!matches(&Descriptor::default(), &Descriptor::default()));
}

#[test]
fn without_a_declaration_or_a_policy_there_is_nothing() {
    let alone = party(1, &[]);
    let asks = party(2, &[&["a"]]);
    let policies = [policy(&["a"], &[OUTSIDE])];
    let all = [vec![&alone], vec![&asks]];
    assert_eq!(members(&network(&["a"]), &[&alone], &policies, &all), []);
    assert_eq!(
        granted(&network(&["a"]), &[&alone], &policies),
        Err(Refusal::Undeclared)
    );
    assert_eq!(members(&network(&["a"]), &[&asks], &[], &all), []);
    assert_eq!(
        granted(&network(&["a"]), &[&asks], &[]),
        Err(Refusal::Policy)
    );
    assert_eq!(
        who(&members(&network(&["a"]), &[&asks], &policies, &all)),
        [outside()]
    );
}

#[test]
fn members_are_instances_that_declare_it_and_endpoints_of_the_operator() {
    let (a, b, c) = (
        party(1, &[&["n"]]),
        party(2, &[&["n"]]),
        party(3, &[&["m"]]),
    );
    let mut policies = [policy(&["n"], &[OUTSIDE]), policy(&["m"], &[])];
    let all = [vec![&a], vec![&b], vec![&c]];
    let of_a = |policies: &[_]| who(&members(&network(&["n"]), &[&a], policies, &all));
    assert_eq!(of_a(&policies), [Member::Instance(id(2)), outside()]);
    policies[0].instances = false;
    assert_eq!(of_a(&policies), [outside()]);
}

#[test]
fn an_ancestor_without_it_refuses() {
    let (child, parent, other) = (party(1, &[&["n"]]), party(2, &[]), party(3, &[&["n"]]));
    let policies = [policy(&["n"], &[OUTSIDE])];
    let all = [vec![&child, &parent], vec![&parent], vec![&other]];
    let refused = granted(&network(&["n"]), &[&child, &parent], &policies);
    assert_eq!(refused, Err(Refusal::Ancestor(id(2))));
    assert_eq!(
        members(&network(&["n"]), &[&child, &parent], &policies, &all),
        []
    );
    // Nor is it a member for others.
    assert_eq!(
        who(&members(&network(&["n"]), &[&other], &policies, &all)),
        [outside()]
    );
}

#[test]
fn a_chain_of_matches_does_not_lead_out_of_what_a_parent_declares() {
    // The child's network matches the parent's by one tag and the operator's by another.
    let (child, parent) = (party(1, &[&["inner", "outer"]]), party(2, &[&["inner"]]));
    let other = party(3, &[&["outer"]]);
    let policies = [policy(&["outer"], &[OUTSIDE]), policy(&["inner"], &[])];
    let all = [vec![&other]];
    assert_eq!(
        members(&network(&["outer"]), &[&child, &parent], &policies, &all),
        []
    );
}

#[test]
fn what_was_narrowed_or_withdrawn_is_gone_for_descendants_too() {
    let child = party(1, &[&["n"]]);
    let mut parent = party(2, &[&["n"], &["m"]]);
    let policies = [policy(&["n"], &[OUTSIDE]), policy(&["m"], &[])];
    let ask = |lineage: &[&Party]| granted(&network(&["n"]), lineage, &policies);
    assert_eq!(ask(&[&child, &parent]), Ok(()));
    parent.withdrawn.push(network(&["n"]));
    assert_eq!(ask(&[&parent]), Err(Refusal::Withdrawn));
    assert_eq!(ask(&[&child, &parent]), Err(Refusal::Ancestor(id(2))));
    parent.withdrawn.clear();
    parent.chosen = Some(vec!["m".to_owned()]);
    assert_eq!(ask(&[&parent]), Err(Refusal::NotChosen));
    assert_eq!(
        members(&network(&["n"]), &[&child, &parent], &policies, &[]),
        []
    );
    parent.chosen = Some(vec!["n".to_owned()]);
    assert_eq!(ask(&[&child, &parent]), Ok(()));
}

#[test]
fn only_slots_that_speak_the_networks_protocol_are_for_its_members() {
    let slot = |port, tag: &str| Slot {
        port,
        transport: Transport::Tcp,
        protocols: vec![network(&[tag])],
    };
    let mut node = party(1, &[]);
    node.needs = vec![NetworkNeed {
        network: network(&["n"]),
        protocols: vec![network(&["gossip"])],
    }];
    node.slots = vec![slot(1, "gossip"), slot(2, "admin")];
    let asks = party(2, &[&["n"]]);
    let found = members(
        &network(&["n"]),
        &[&asks],
        &[policy(&["n"], &[])],
        &[vec![&node]],
    );
    assert_eq!(found[0].slots, [slot(1, "gossip")]);
    node.slots.remove(0);
    assert_eq!(
        members(
            &network(&["n"]),
            &[&asks],
            &[policy(&["n"], &[])],
            &[vec![&node]]
        ),
        []
    );
}

fn any_networks() -> impl Strategy<Value = Vec<Descriptor>> {
    let tags = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..3);
    prop::collection::vec(tags.prop_map(|tags| network(&tags)), 0..3)
}

fn any_party() -> impl Strategy<Value = Party> {
    let chosen = prop::option::of(prop::collection::vec("[abc]", 0..3));
    (any_networks(), chosen, any_networks()).prop_map(|(needs, chosen, withdrawn)| Party {
        id: None,
        needs: needs
            .into_iter()
            .map(|network| NetworkNeed {
                network,
                protocols: Vec::new(),
            })
            .collect(),
        slots: vec![Slot::default()],
        chosen,
        withdrawn: withdrawn.into_iter().take(1).collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nobody_reaches_more_than_any_ancestor(
        mut parties in prop::collection::vec(any_party(), 5),
        policies in prop::collection::vec(
            any_networks().prop_map(|networks| NetworkPolicy {
                network: networks.into_iter().next().unwrap_or_default(),
                instances: true,
                endpoints: vec![Endpoint {
                    address: OUTSIDE.parse().unwrap(),
                    transport: Transport::Tcp,
                }],
            }),
            0..3,
        ),
    ) {
        for (number, party) in parties.iter_mut().enumerate() {
            party.id = Some(id(number as u8));
        }
        // 0 is a child of 1, that is a child of 2; 3 and 4 are others.
        let [a, b, c, d, e] = &parties[..] else { unreachable!() };
        let others = [vec![a, b, c], vec![d], vec![e]];
        let of = |lineage: &[&Party]| {
            let mut found = who(&all_members(lineage, &policies, &others));
            found.retain(|member| *member != Member::Instance(id(0)));
            found
        };
        let (child, parent, grandparent) = (of(&[a, b, c]), of(&[b, c]), of(&[c]));
        for member in &child {
            prop_assert!(parent.contains(member) && grandparent.contains(member));
        }
        if policies.is_empty() {
            prop_assert!(grandparent.is_empty());
        }
    }
}

#[test]
fn a_member_with_two_names_is_no_way_around_an_ancestor() {
    // The grandparent has the member's other name, which the operator does not allow.
    let (child, parent, above) = (
        party(0, &[&["a", "c"]]),
        party(1, &[&["a"]]),
        party(2, &[&["c"]]),
    );
    let member = party(3, &[&["a", "c"]]);
    let policies = [policy(&["a"], &[])];
    let others = [vec![&member]];
    let of = |lineage: &[&Party]| who(&all_members(lineage, &policies, &others));
    assert_eq!(of(&[&child]), [Member::Instance(id(3))]);
    assert_eq!(of(&[&child, &parent]), [Member::Instance(id(3))]);
    assert_eq!(of(&[&child, &parent, &above]), []);
}
