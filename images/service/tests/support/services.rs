//! Random services: every field of the model, and every kind of file.

use proptest::prelude::*;
use unicell_service::spec::*;
use unicell_service::tree::Tree;

use super::{build, steps};

fn text() -> BoxedStrategy<String> {
    prop_oneof![
        3 => "[a-z/0-9.-]{0,12}",
        1 => "\\PC{0,8}",
        1 => Just(String::new()),
        1 => Just("\"\\\u{0}\u{7f}\u{ffff}".to_owned()),
    ]
    .boxed()
}

fn bytes() -> BoxedStrategy<Bytes> {
    prop::collection::vec(any::<u8>(), 0..40)
        .prop_map(Bytes)
        .boxed()
}

fn list<T: std::fmt::Debug + 'static>(
    of: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Vec<T>> {
    prop::collection::vec(of, 0..3).boxed()
}

fn map<T: std::fmt::Debug + 'static>(
    of: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Map<T>> {
    prop::collection::vec((text(), of), 0..4)
        .prop_map(|list| list.into_iter().collect())
        .boxed()
}

fn maybe<T: std::fmt::Debug + 'static>(
    of: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    prop::option::of(of).boxed()
}

fn number() -> impl Strategy<Value = Option<u64>> {
    maybe(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()])
}

fn descriptor() -> BoxedStrategy<Descriptor> {
    (list(text()), text(), bytes())
        .prop_map(|(tags, prose, formal)| Descriptor {
            tags,
            prose,
            formal,
        })
        .boxed()
}

fn amount() -> BoxedStrategy<Amount> {
    "[1-9][0-9]{0,30}".prop_map(|n| Amount { n }).boxed()
}

fn contract() -> BoxedStrategy<Contract> {
    (maybe(descriptor()), map(bytes()))
        .prop_map(|(ledger, xattrs)| Contract { ledger, xattrs })
        .boxed()
}

fn slot() -> BoxedStrategy<Slot> {
    let parts = (
        any::<u16>(),
        maybe(descriptor()),
        list(descriptor()),
        map(amount()),
    );
    parts
        .prop_map(|(port, transport, protocol_stack, price_per_call)| Slot {
            port,
            transport,
            protocol_stack,
            price_per_call,
        })
        .boxed()
}

fn api() -> BoxedStrategy<Api> {
    let rate =
        (maybe(contract()), maybe(amount())).prop_map(|(contract, mu_per_unit)| ContractRate {
            contract,
            mu_per_unit,
        });
    (list(slot()), list(rate))
        .prop_map(|(slots, payment_contracts)| Api {
            slots,
            payment_contracts,
        })
        .boxed()
}

fn sysresources() -> BoxedStrategy<Sysresources> {
    let parts = (number(), number(), number(), number(), number());
    parts
        .prop_map(
            |(blkio_weight, cpu_period, cpu_quota, mem_limit, disk_space)| Sysresources {
                blkio_weight,
                cpu_period,
                cpu_quota,
                mem_limit,
                disk_space,
            },
        )
        .boxed()
}

fn network() -> BoxedStrategy<Network> {
    let parts = (list(text()), text(), bytes(), list(descriptor()));
    parts
        .prop_map(|(tags, prose, formal, protocol_stack)| Network {
            tags,
            prose,
            formal,
            protocol_stack,
        })
        .boxed()
}

/// Random file trees, with names that a specification can hold.
pub fn filesystem() -> BoxedStrategy<Filesystem> {
    steps(12)
        .prop_map(|mut steps| {
            for step in &mut steps {
                step.make_text();
            }
            let tree: Tree = build(&steps);
            Filesystem::from_tree(&tree).unwrap()
        })
        .boxed()
}

fn container() -> BoxedStrategy<Container> {
    let resources = (maybe(sysresources()), maybe(sysresources()))
        .prop_map(|(at_init, at_most)| Resources { at_init, at_most });
    let init =
        (list(text()), map(bytes())).prop_map(|(entry_path, xattrs)| Init { entry_path, xattrs });
    let config = (list(text()), maybe(descriptor()))
        .prop_map(|(path, format)| ConfigDeclaration { path, format });
    let parts = (
        maybe(descriptor()),
        filesystem(),
        maybe(init),
        maybe(resources),
        maybe(config),
        list(descriptor()),
        map(descriptor()),
    );
    parts
        .prop_map(
            |(architecture, filesystem, init, resources, config, expected_gateway, environment)| {
                Container {
                    architecture,
                    filesystem,
                    init,
                    resources,
                    config,
                    expected_gateway,
                    environment,
                }
            },
        )
        .boxed()
}

fn scenario(service: impl Strategy<Value = Service> + 'static) -> BoxedStrategy<Scenario> {
    let hash = (bytes(), bytes()).prop_map(|(kind, value)| Hash { kind, value });
    let dependency = (list(hash), maybe(service), any::<bool>(), any::<bool>()).prop_map(
        |(hash, service, is_completed, on_filesystem)| Dependency {
            hash,
            service: service.map(Box::new),
            is_completed,
            on_filesystem,
        },
    );
    let workload = (any::<u32>(), maybe(sysresources()), maybe(dependency)).prop_map(
        |(count, resources, dependency)| Workload {
            count,
            resources,
            dependency,
        },
    );
    list(workload)
        .prop_map(|workloads| Scenario { workloads })
        .boxed()
}

fn flat_service() -> BoxedStrategy<Service> {
    (text(), maybe(container()), maybe(api()), list(network()))
        .prop_map(|(prose, container, api, network)| Service {
            prose,
            container,
            api,
            network,
            descendants: Vec::new(),
        })
        .boxed()
}

/// Random services.
pub fn service() -> BoxedStrategy<Service> {
    (flat_service(), list(scenario(flat_service())))
        .prop_map(|(service, descendants)| Service {
            descendants,
            ..service
        })
        .boxed()
}
