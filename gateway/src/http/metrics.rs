//! Usage for Prometheus: gathered when it is asked for.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use unicell_gateway_api::instance::{Instance, State as Life};
use unicell_gateway_api::{Code, Problem};

use super::caller::Shown;
use super::failure::Failure;
use crate::node::Gateway;

const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Usage of the caller's instances; for the operator of all, and of the node.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "node",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn metrics(
    State(gateway): State<Gateway>,
    Shown(caller): Shown,
) -> Result<Response, Failure> {
    let instances = gateway.metered(&caller).await?;
    let mut registry = Registry::with_prefix("unicell");
    if caller.principal() == &crate::token::Principal::Operator {
        node(&mut registry, &gateway);
    }
    each(&mut registry, &instances);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| {
        Failure(Problem::new(
            Code::Internal,
            "the node failed; its log says more",
        ))
    })?;
    Ok(([(CONTENT_TYPE, CONTENT)], text).into_response())
}

fn node(registry: &mut Registry, gateway: &Gateway) {
    let node = gateway.node();
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(value.try_into().unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge(
        "instances",
        "Instances that have not ended",
        node.instances as u64,
    );
    gauge(
        "streams",
        "Open streams between instances, and to and from outside",
        gateway.open_streams() as u64,
    );
    gauge(
        "memory_capacity_bytes",
        "Memory that instances may have",
        node.capacity.memory,
    );
    gauge(
        "memory_free_bytes",
        "Memory that is given to no instance",
        node.free.memory,
    );
    gauge(
        "cpu_capacity_milli",
        "CPU that instances may have",
        node.capacity.cpu_milli.into(),
    );
    gauge(
        "cpu_free_milli",
        "CPU that is given to no instance",
        node.free.cpu_milli.into(),
    );
    gauge(
        "disk_capacity_bytes",
        "Disk that instances may have",
        node.capacity.disk,
    );
    gauge(
        "disk_free_bytes",
        "Disk that is given to no instance",
        node.free.disk,
    );
    let kept = gateway.kept();
    gauge(
        "evidence_bytes",
        "Transcripts of instances that have ended",
        kept.bytes,
    );
    gauge(
        "evidence_capacity_bytes",
        "What these may come to",
        kept.bound,
    );
    let dropped = Counter::<u64>::default();
    dropped.inc_by(kept.dropped);
    registry.register(
        "evidence_dropped",
        "Transcripts that were dropped for newer ones",
        dropped,
    );
}

type Labels = Vec<(&'static str, String)>;

fn each(registry: &mut Registry, instances: &[Instance]) {
    type Read = fn(&Instance) -> u64;
    let counters: [(&str, &str, Read); 5] = [
        ("instance_cpu_nanoseconds", "CPU time", |i| i.usage.cpu_ns),
        ("instance_in_bytes", "Bytes that streams brought in", |i| {
            i.usage.bytes_in
        }),
        ("instance_out_bytes", "Bytes that streams took out", |i| {
            i.usage.bytes_out
        }),
        (
            "instance_relayed_bytes",
            "Bytes that the node carried itself",
            |i| i.usage.bytes_relayed,
        ),
        ("instance_exits", "Exits of the virtual CPU", |i| {
            i.usage.exits
        }),
    ];
    let gauges: [(&str, &str, Read); 3] = [
        ("instance_memory_bytes", "Memory now", |i| i.usage.memory),
        (
            "instance_memory_peak_bytes",
            "The most memory it had",
            |i| i.usage.memory_peak,
        ),
        ("instance_running", "1 while its program runs", |i| {
            u64::from(i.state == Life::Running)
        }),
    ];
    for (name, help, read) in counters {
        let family = Family::<Labels, Counter>::default();
        for instance in instances {
            family
                .get_or_create(&labels(instance))
                .inc_by(read(instance));
        }
        registry.register(name, help, family);
    }
    for (name, help, read) in gauges {
        let family = Family::<Labels, Gauge>::default();
        for instance in instances {
            let value = read(instance).try_into().unwrap_or(i64::MAX);
            family.get_or_create(&labels(instance)).set(value);
        }
        registry.register(name, help, family);
    }
}

fn labels(instance: &Instance) -> Labels {
    vec![
        ("id", instance.id.to_string()),
        ("name", instance.name.clone()),
        ("service", instance.service.to_string()),
    ]
}
