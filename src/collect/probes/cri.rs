//! What the container runtime says of itself over CRI.
//!
//! The messages hold only the fields that are wanted; numbers are those of kubernetes/cri-api,
//! pkg/apis/runtime/v1/api.proto, and the same in v1alpha2, which containerd spoke alone until 1.5.

use std::collections::HashMap;

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use serde_json::Value;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::facts::probe::CriAnswer;
use crate::origin::{Fact, Unknown};

use super::budget::{Budget, no_answer};
use super::plan::SocketQuestion;
use super::{http as web, socket};

/// Bytes of an answer, the kubelet's own limit.
const LIMIT: usize = 16 << 20;

/// The newer first: the kubelet dropped v1alpha2 with 1.26, containerd with 2.0.
const PACKAGES: [&str; 2] = ["runtime.v1", "runtime.v1alpha2"];

#[derive(Clone, PartialEq, Message)]
struct VersionRequest {}

#[derive(Clone, PartialEq, Message)]
struct VersionResponse {
    #[prost(string, tag = "2")]
    runtime_name: String,
    #[prost(string, tag = "3")]
    runtime_version: String,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {
    #[prost(bool, tag = "1")]
    verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<RuntimeStatus>,
    /// JSON by arbitrary name, with `verbose`.
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct RuntimeStatus {
    #[prost(message, repeated, tag = "1")]
    conditions: Vec<RuntimeCondition>,
}

#[derive(Clone, PartialEq, Message)]
struct RuntimeCondition {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(bool, tag = "2")]
    status: bool,
    #[prost(string, tag = "3")]
    reason: String,
    #[prost(string, tag = "4")]
    message: String,
}

#[derive(Clone, PartialEq, Message)]
struct ListImagesRequest {}

#[derive(Clone, PartialEq, Message)]
struct ListImagesResponse {
    #[prost(message, repeated, tag = "1")]
    images: Vec<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(string, repeated, tag = "2")]
    repo_tags: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct RuntimeConfigRequest {}

#[derive(Clone, PartialEq, Message)]
struct RuntimeConfigResponse {
    #[prost(message, optional, tag = "1")]
    linux: Option<LinuxRuntimeConfiguration>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxRuntimeConfiguration {
    /// 0 is systemd, 1 is cgroupfs.
    #[prost(int32, tag = "1")]
    cgroup_driver: i32,
}

/// None when there is no runtime and none is expected.
pub async fn ask(question: SocketQuestion, budget: Budget) -> Option<Fact<CriAnswer>> {
    let open = match socket::open(&question, budget).await {
        Ok(open) => open,
        Err(why) => return why.map(Err),
    };
    // Docker's containerd serves no CRI as packaged: the next socket may be the one that the kubelet uses.
    let mut first = None;
    for path in open {
        match runtime(&path, budget).await {
            Ok(answer) => return Some(Ok(answer)),
            Err(unknown) => first = first.or(Some(Err(unknown))),
        }
    }
    first
}

async fn runtime(path: &str, budget: Budget) -> Fact<CriAnswer> {
    let failed = |status: &Status| Unknown::new(path, describe(status));
    let channel = budget.answer(path, connect(path)).await?;

    let mut spoken = None;
    let mut refusal = None;
    for package in PACKAGES {
        let service = format!("{package}.RuntimeService");
        match call(&channel, &service, "Version", VersionRequest {}, budget).await {
            Ok(version) => {
                let version: VersionResponse = version;
                spoken = Some((package, service, version));
                break;
            }
            Err(status) if status.code() == Code::Unimplemented => refusal = refusal.or(Some(failed(&status))),
            Err(status) => return Err(failed(&status)),
        }
    }
    let Some((package, service, version)) = spoken else {
        return Err(refusal.unwrap_or_else(|| Unknown::new(path, "does not speak CRI")));
    };

    let image_service = format!("{package}.ImageService");
    let (status, config, images) = tokio::join!(
        call::<_, StatusResponse>(&channel, &service, "Status", StatusRequest { verbose: true }, budget),
        // Since Kubernetes 1.28; what does not know it says so.
        call::<_, RuntimeConfigResponse>(&channel, &service, "RuntimeConfig", RuntimeConfigRequest {}, budget),
        call::<_, ListImagesResponse>(&channel, &image_service, "ListImages", ListImagesRequest {}, budget),
    );
    let status = status.map_err(|status| failed(&status))?;
    let info = status.info.get("config").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let told = config.ok().and_then(|config| config.linux).map(|linux| match linux.cgroup_driver {
        0 => "systemd".to_owned(),
        _ => "cgroupfs".to_owned(),
    });
    Ok(CriAnswer {
        socket: path.to_owned(),
        runtime: format!("{} {}", version.runtime_name, version.runtime_version).trim().to_owned(),
        images: images.map(tags).map_err(|status| failed(&status)),
        sandbox_image: info.as_ref().and_then(sandbox_image),
        cgroup_driver: told.or_else(|| info.as_ref().and_then(cgroup_driver)),
        unready: status.status.map(|status| unready(&status.conditions)).unwrap_or_default(),
    })
}

async fn connect(path: &str) -> Fact<Channel> {
    let socket = path.to_owned();
    let connector = service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The address is for the request's authority only; the connector decides where it goes.
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint.connect_with_connector(connector).await.map_err(|error| Unknown::new(path, web::describe(&error)))
}

async fn call<Q, A>(channel: &Channel, service: &str, method: &str, request: Q, budget: Budget) -> Result<A, Status>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let path = PathAndQuery::try_from(format!("/{service}/{method}")).map_err(|_| Status::internal("no path"))?;
    let mut client = tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(LIMIT);
    let answer = budget.within(async {
        client.ready().await.map_err(|error| Status::unavailable(web::describe(&error)))?;
        let codec: ProstCodec<Q, A> = ProstCodec::default();
        client.unary(tonic::Request::new(request), path, codec).await.map(tonic::Response::into_inner)
    });
    answer.await.unwrap_or_else(|waited| Err(Status::deadline_exceeded(no_answer(waited))))
}

fn describe(status: &Status) -> String {
    match status.code() {
        Code::DeadlineExceeded | Code::Unavailable if !status.message().is_empty() => status.message().to_owned(),
        code => format!("{code:?}: {}", status.message()),
    }
}

fn tags(response: ListImagesResponse) -> Vec<String> {
    let mut tags: Vec<String> = response.images.into_iter().flat_map(|image| image.repo_tags).collect();
    tags.sort();
    tags.dedup();
    tags
}

fn unready(conditions: &[RuntimeCondition]) -> Vec<String> {
    let mut unready = Vec::new();
    for condition in conditions.iter().filter(|condition| !condition.status) {
        let text = format!("{}: {} {}", condition.kind, condition.reason, condition.message);
        unready.push(text.trim_end_matches([' ', ':']).to_owned());
    }
    unready
}

/// containerd 1.x; 2.x keeps it in its image service and does not tell.
fn sandbox_image(config: &Value) -> Option<String> {
    config.get("sandboxImage")?.as_str().filter(|image| !image.is_empty()).map(str::to_owned)
}

/// containerd's default runtime handler: `SystemdCgroup` of runc's options, false when it is not there.
fn cgroup_driver(config: &Value) -> Option<String> {
    let containerd = config.get("containerd")?;
    let name = containerd.get("defaultRuntimeName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let handler = containerd.get("runtimes")?.get(name.unwrap_or("runc"))?;
    let systemd = handler.get("options").and_then(|options| options.get("SystemdCgroup")).and_then(Value::as_bool);
    Some(if systemd.unwrap_or(false) { "systemd" } else { "cgroupfs" }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn driver_and_image_of_containerd() {
        let config = |options: Value| {
            serde_json::json!({"sandboxImage": "registry.k8s.io/pause:3.6", "containerd": {"defaultRuntimeName": "runc",
                "runtimes": {"runc": {"runtimeType": "io.containerd.runc.v2", "options": options}}}})
        };
        let cases = [
            (config(serde_json::json!({"SystemdCgroup": true})), Some("systemd")),
            (config(serde_json::json!({"SystemdCgroup": false})), Some("cgroupfs")),
            (config(serde_json::json!({})), Some("cgroupfs")),
            (config(Value::Null), Some("cgroupfs")),
            (serde_json::json!({"containerd": {"runtimes": {}}}), None),
            (serde_json::json!([]), None),
        ];
        for (config, expected) in cases {
            assert_eq!(cgroup_driver(&config).as_deref(), expected, "{config}");
        }
        assert_eq!(sandbox_image(&config(Value::Null)).as_deref(), Some("registry.k8s.io/pause:3.6"));
        assert_eq!(sandbox_image(&serde_json::json!({"sandboxImage": ""})), None);
    }

    #[test]
    fn conditions_that_are_not_true() {
        let condition = |kind: &str, status, reason: &str, message: &str| RuntimeCondition {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let conditions = [
            condition("RuntimeReady", true, "", ""),
            condition("NetworkReady", false, "NetworkPluginNotReady", "cni plugin not initialized"),
            condition("Other", false, "", ""),
        ];
        let expected = ["NetworkReady: NetworkPluginNotReady cni plugin not initialized", "Other"];
        assert_eq!(unready(&conditions), expected);
    }
}
