use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    capacity: limits(100),
    client: limits(60),
    instances: 20,
    children: 4,
    depth: 4,
    remembered: 5,
};

const fn limits(amount: u64) -> Limits {
    Limits {
        memory: amount,
        cpu_milli: amount as u32,
        disk: amount,
    }
}

fn id(number: u8) -> InstanceId {
    InstanceId::new([0, 0, 0, 0, 0, number])
}

fn wanted(number: u8, owner: Owner, amount: u64, allowance: Option<u64>) -> Wanted {
    Wanted {
        id: id(number),
        incarnation: Incarnation(number.into()),
        owner,
        service: ServiceId::new([0; 32]),
        name: "child".to_owned(),
        exact: false,
        limits: limits(amount),
        allowance: allowance.map(limits),
    }
}

/// One thing that happens to a tree.
#[derive(Clone, Debug)]
enum Step {
    Start {
        owner: u8,
        amount: u64,
        allowance: Option<u64>,
    },
    Attached(u8),
    Running(u8),
    Stop(u8),
    Gone(u8),
    Resize(u8, u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let amounts = 0..30_u64;
    prop_oneof![
        4 => (0..30_u8, amounts.clone(), prop::option::of(amounts.clone()))
            .prop_map(|(owner, amount, allowance)| Step::Start { owner, amount, allowance }),
        4 => (0..30_u8).prop_map(Step::Attached),
        4 => (0..30_u8).prop_map(Step::Running),
        1 => (0..30_u8).prop_map(Step::Stop),
        2 => (0..30_u8).prop_map(Step::Gone),
        1 => (0..30_u8, amounts).prop_map(|(number, amount)| Step::Resize(number, amount)),
    ]
}

/// The processes that the tree was told of, and what it was told to do.
#[derive(Default)]
struct World {
    there: BTreeSet<InstanceId>,
    coming: BTreeSet<InstanceId>,
    ended: BTreeSet<InstanceId>,
}

impl World {
    fn follow(&mut self, tree: &Tree, consequences: &Consequences) {
        for id in &consequences.stop {
            assert!(self.there.contains(id), "{id} has no process to stop");
            let below = tree.subtree(*id);
            let running = below.iter().filter(|below| *below != id);
            assert_eq!(running.count(), 0, "{id} is stopped before its descendants");
        }
        for id in &consequences.ended {
            assert!(self.ended.insert(*id), "{id} ended twice");
            assert!(!self.there.contains(id) && !self.coming.contains(id));
        }
    }
}

fn check(tree: &Tree) {
    let live = || tree.iter().filter(|entry| entry.state != State::Ended);
    assert_eq!(live().count(), tree.live());
    assert!(tree.ended.len() <= BOUNDS.remembered);
    let mut node = Limits::default();
    for entry in live() {
        let siblings: Vec<_> = tree.children(&entry.owner).collect();
        let names: BTreeSet<_> = siblings.iter().map(|entry| &entry.name).collect();
        assert_eq!(names.len(), siblings.len(), "two children of one name");
        if let Some(parent) = entry.parent() {
            let parent = tree.get(parent).expect("a parent outlives its child");
            assert_ne!(parent.state, State::Ended);
            assert!(entry.state >= State::Stopping || parent.state == State::Running);
            assert_eq!(parent.children.get(&entry.number), Some(&entry.id));
        }
        assert!(tree.lineage(entry.id).count() <= BOUNDS.depth);
        assert!(entry.children.len() <= BOUNDS.children);
        // Who draws on this entry's allowance, or on the node, said another way.
        let payer = tree
            .lineage(entry.id)
            .skip(1)
            .find(|above| above.allowance.is_some());
        if payer.is_none() {
            node.memory += entry.cost().memory;
        }
        if let Some(allowance) = entry.allowance {
            let drawn: u64 = live()
                .filter(|other| {
                    let mut above = tree.lineage(other.id).skip(1);
                    above
                        .find(|above| above.allowance.is_some())
                        .map(|above| above.id)
                        == Some(entry.id)
                })
                .map(|other| other.cost().memory)
                .sum();
            assert_eq!(drawn, entry.drawn.memory);
            assert!(drawn <= allowance.memory);
        }
    }
    assert_eq!(node.memory, tree.drawn.memory);
    assert!(tree.drawn.memory <= BOUNDS.capacity.memory);
    for drawn in tree.clients.values() {
        assert!(drawn.memory <= BOUNDS.client.memory);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_invariants_hold_whatever_happens(steps in prop::collection::vec(steps(), 0..200)) {
        let mut tree = Tree::new(BOUNDS);
        let mut world = World::default();
        let mut next = 0;
        for step in steps {
            match step {
                Step::Start { owner, amount, allowance } => {
                    let owner = match owner {
                        0..3 => Owner::Operator,
                        3..6 => Owner::Client("c".to_owned()),
                        other => Owner::Instance(id(other - 6)),
                    };
                    let number = next;
                    if tree.admit(wanted(number, owner, amount, allowance)).is_ok() {
                        world.coming.insert(id(number));
                        next += 1;
                    }
                }
                Step::Attached(number) => {
                    if world.coming.remove(&id(number)) {
                        world.there.insert(id(number));
                        if tree.attached(id(number)) {
                            prop_assert_eq!(tree.subtree(id(number)), vec![id(number)]);
                        }
                    }
                }
                Step::Running(number) => {
                    if world.there.contains(&id(number)) {
                        tree.running(id(number));
                    }
                }
                Step::Stop(number) => {
                    let consequences = tree.stop(id(number));
                    world.follow(&tree, &consequences);
                }
                Step::Gone(number) => {
                    if world.there.remove(&id(number)) | world.coming.remove(&id(number)) {
                        let consequences = tree.gone(id(number), Outcome::Stopped);
                        world.follow(&tree, &consequences);
                    }
                }
                Step::Resize(number, amount) => {
                    let _ = tree.resize(id(number), limits(amount));
                }
            }
            check(&tree);
        }

        // Stopping everything, children first, leaves nothing.
        let roots: Vec<_> = tree.iter().map(|entry| entry.id).collect();
        let mut stop: Vec<_> = roots.into_iter().flat_map(|id| tree.stop(id).stop).collect();
        for id in world.coming.clone() {
            stop.extend(tree.gone(id, Outcome::Stopped).stop);
        }
        // Those that were told before are still there.
        stop.extend(world.there.iter().filter(|id| tree.get(**id).is_some_and(|e| e.told_to_stop)));
        while let Some(id) = stop.pop() {
            stop.extend(tree.gone(id, Outcome::Stopped).stop);
        }
        check(&tree);
        prop_assert_eq!(tree.live(), 0);
        prop_assert_eq!(tree.drawn, Limits::default());
        prop_assert!(tree.clients.is_empty());
    }
}

/// A tree with a running parent 0, which has running children 1 and 2.
fn family() -> Tree {
    let mut tree = Tree::new(BOUNDS);
    tree.admit(wanted(0, Owner::Operator, 10, None)).unwrap();
    tree.attached(id(0));
    tree.running(id(0));
    for child in 1..3 {
        tree.admit(wanted(child, Owner::Instance(id(0)), 10, None))
            .unwrap();
        tree.attached(id(child));
        tree.running(id(child));
    }
    tree
}

#[test]
fn descendants_are_stopped_first() {
    let mut tree = family();
    let told = tree.stop(id(0));
    assert_eq!(told.stop, [id(1), id(2)]);
    assert_eq!(told.stopping, [id(1), id(2), id(0)]);
    assert_eq!(
        tree.admit(wanted(9, Owner::Instance(id(0)), 1, None)).err(),
        Some(Refused::Parent)
    );
    assert_eq!(tree.gone(id(1), Outcome::Stopped).stop, []);
    assert_eq!(tree.gone(id(2), Outcome::Stopped).stop, [id(0)]);
    assert_eq!(tree.gone(id(0), Outcome::Stopped).ended, [id(0)]);
    assert_eq!(tree.live(), 0);
}

#[test]
fn a_parent_that_dies_takes_its_children_along() {
    let mut tree = family();
    let outcome = Outcome::Exited { status: 3 };
    let told = tree.gone(id(0), outcome.clone());
    assert_eq!(told.stop, [id(1), id(2)]);
    assert_eq!(told.ended, []);
    assert_eq!(tree.get(id(0)).unwrap().state, State::Stopping);
    assert_eq!(tree.gone(id(1), Outcome::Stopped).ended, [id(1)]);
    assert_eq!(tree.gone(id(2), Outcome::Stopped).ended, [id(2), id(0)]);
    assert_eq!(tree.get(id(0)).unwrap().outcome, Some(outcome));
}

#[test]
fn an_instance_that_is_stopped_while_it_starts_is_stopped_when_it_is_there() {
    let mut tree = family();
    tree.admit(wanted(3, Owner::Instance(id(0)), 1, None))
        .unwrap();
    let told = tree.stop(id(0));
    assert_eq!(told.stop, [id(1), id(2)]);
    assert!(tree.attached(id(3)));
    tree.gone(id(1), Outcome::Stopped);
    tree.gone(id(2), Outcome::Stopped);
    assert_eq!(tree.gone(id(3), Outcome::Stopped).stop, [id(0)]);
}

#[test]
fn a_parent_pays_for_its_children_within_its_allowance() {
    let mut tree = Tree::new(BOUNDS);
    tree.admit(wanted(0, Owner::Client("c".into()), 10, Some(20)))
        .unwrap();
    tree.attached(id(0));
    tree.running(id(0));
    let own = Owner::Instance(id(0));
    tree.admit(wanted(1, own.clone(), 15, None)).unwrap();
    assert_eq!(
        tree.admit(wanted(2, own.clone(), 6, None))
            .unwrap_err()
            .to_string(),
        "memory, bytes: 6 asked, 5 free of what the descendants of instance 000000000000 may use"
    );
    // What was set apart is drawn once.
    assert_eq!(tree.drawn(), limits(30));
    assert_eq!(tree.free(&Owner::Client("c".into())), limits(30));
    assert_eq!(tree.free(&Owner::Client("d".into())), limits(60));
    assert!(tree.resize(id(1), limits(21)).is_err());
    tree.resize(id(1), limits(20)).unwrap();
    tree.resize(id(1), limits(1)).unwrap();
    assert_eq!(tree.free(&own), limits(19));
    tree.gone(id(0), Outcome::Stopped);
    tree.gone(id(1), Outcome::Stopped);
    assert_eq!(tree.drawn(), Limits::default());
}

#[test]
fn names_and_numbers_differ() {
    let mut tree = family();
    let name = |number| tree.get(id(number)).unwrap().name.clone();
    assert_eq!((name(1), name(2)), ("child".into(), "child-2".into()));
    let exact = Wanted {
        exact: true,
        ..wanted(5, Owner::Instance(id(0)), 1, None)
    };
    assert_eq!(tree.admit(exact).err(), Some(Refused::Name("child".into())));
    tree.gone(id(1), Outcome::Stopped);
    // The address of a child that is gone is not the next one's.
    assert_eq!(
        tree.admit(wanted(6, Owner::Instance(id(0)), 1, None))
            .unwrap()
            .number,
        3
    );
}
