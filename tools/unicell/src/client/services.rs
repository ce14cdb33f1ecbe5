//! `services`, `import`, `export`, `tag`, `rm`, `gc`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use anstream::println;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use unicell_gateway_api::service::{Collected, Imported, Service, Tag};

use super::http::Client;
use super::{Format, show};
use crate::failure::{Failure, Result};
use crate::inspect;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell services")]
pub(crate) struct ListArguments {
    #[command(flatten)]
    format: Format,
}

/// `unicell services`.
pub(super) fn list(client: &Client, arguments: &ListArguments) -> Result<()> {
    let services: Vec<Service> = client.get("/services")?;
    if arguments.format.json {
        return show::json(&services);
    }
    let rows: Vec<_> = services
        .iter()
        .map(|service| {
            [
                service.id.to_string()[..12].to_owned(),
                show::list(&service.tags),
                show::bytes(service.size),
                service.running.to_string(),
                show::list(service.slots.iter().map(|slot| slot.port)),
                show::list(service.networks.iter().flat_map(|network| &network.tags)),
                show::list(service.dependencies.iter().map(|needed| &needed.alias)),
            ]
        })
        .collect();
    let headings = [
        "ID",
        "TAGS",
        "SIZE",
        "RUNNING",
        "SLOTS",
        "NETWORKS",
        "DEPENDENCIES",
    ];
    show::table(headings, &rows);
    Ok(())
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell import hello.cell --tag hello")]
pub(crate) struct ImportArguments {
    /// A package, or a service in any encoding that the node speaks
    file: PathBuf,
    /// A name for it
    #[arg(long)]
    tag: Option<String>,
    /// Refuse it if this is not its id
    #[arg(long, value_name = "ID")]
    expect: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// `unicell import`.
pub(super) fn import(client: &Client, arguments: &ImportArguments) -> Result<()> {
    let path = &arguments.file;
    let (file, len) = inspect::open(path)?;
    let bar = progress(len);
    let shown = bar.clone();
    let to = match &arguments.expect {
        Some(id) => format!("/services?id={id}"),
        None => "/services".to_owned(),
    };
    let imported: Imported =
        client.upload(&to, path, file, move |sent| shown.set_position(sent))?;
    bar.finish_and_clear();
    if let Some(tag) = &arguments.tag {
        give_tag(client, &imported.id.to_string(), tag)?;
    }
    if arguments.format.json {
        return show::json(&imported);
    }
    println!("{}", imported.id);
    Ok(())
}

/// Seen on a terminal only, and only of what takes a while.
fn progress(len: u64) -> ProgressBar {
    let bar = ProgressBar::new(len);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    bar
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell export hello --encoding json -o hello.json")]
pub(crate) struct ExportArguments {
    /// The service: its id, or a tag
    service: String,
    /// The encoding: proto3, json or json+zip
    #[arg(long, value_name = "NAME", default_value = "proto3")]
    encoding: String,
    /// Where it goes
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// `unicell export`.
pub(super) fn export(client: &Client, arguments: &ExportArguments) -> Result<()> {
    let path = &arguments.output;
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let encoding = arguments.encoding.replace('+', "%2B");
    let from = format!("/services/{}/export?encoding={encoding}", arguments.service);
    // Aside first: what is there already is replaced by a whole service or by nothing.
    let aside = path.with_added_extension("part");
    let mut file = File::create(&aside).map_err(failed)?;
    let done = client.download(&from, |bytes| file.write_all(bytes).map_err(failed));
    let done = done.and_then(|()| std::fs::rename(&aside, path).map_err(failed));
    if done.is_err() {
        // What is left over is of no use; that it cannot be removed does not matter.
        let _ = std::fs::remove_file(&aside);
    }
    done
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell tag 4be1c0a2 hello")]
pub(crate) struct TagArguments {
    /// The service: its id, or another tag
    service: String,
    /// The name
    tag: String,
}

/// `unicell tag`.
pub(super) fn tag(client: &Client, arguments: &TagArguments) -> Result<()> {
    give_tag(client, &arguments.service, &arguments.tag)
}

fn give_tag(client: &Client, service: &str, tag: &str) -> Result<()> {
    let body = Tag {
        service: service.to_owned(),
    };
    let _: Value = client.send(Method::PUT, &format!("/tags/{tag}"), &body)?;
    Ok(())
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unicell rm hello\n  unicell rm --tag hello")]
pub(crate) struct RemoveArguments {
    /// The service: its id, or a tag
    service: String,
    /// Remove only this name, not the service
    #[arg(long)]
    tag: bool,
}

/// `unicell rm`.
pub(super) fn remove(client: &Client, arguments: &RemoveArguments) -> Result<()> {
    let kind = if arguments.tag { "tags" } else { "services" };
    let path = format!("/{kind}/{}", arguments.service);
    let _: Value = client.ask(Method::DELETE, &path)?;
    Ok(())
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell gc")]
pub(crate) struct CollectArguments {
    #[command(flatten)]
    format: Format,
}

/// `unicell gc`.
pub(super) fn collect(client: &Client, arguments: &CollectArguments) -> Result<()> {
    let collected: Collected = client.ask(Method::POST, "/collect")?;
    if arguments.format.json {
        return show::json(&collected);
    }
    let freed = show::bytes(collected.bytes);
    println!(
        "{} services and {} files removed, {freed} free",
        collected.services, collected.files
    );
    Ok(())
}
