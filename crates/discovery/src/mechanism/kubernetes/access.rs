//! Where the API server is, and who we are to it: as the section says, as a kubeconfig file says, or as Kubernetes tells
//! those who run in it.
//!
//! Map: here the three ways · [`exec`] programs that a kubeconfig file names to get a token from.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use http_client::settings::{Authorization, BasicAuth, TlsSettings};
use http_client::{Client, Request, Response, Secret, StatusCode};
use serde::Deserialize;

use self::exec::{Exec, Plugin};
use super::{Settings, unreadable};
use crate::fetch::{Fault, shown_url};
use crate::place::{Environment, Shared};

mod exec;

/// Where Kubernetes puts what a pod may know of its service account; a variable, so that tests can have their own.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const ACCOUNT_VARIABLE: &str = "KYMO_KUBERNETES_SERVICE_ACCOUNT";

/// How the API server is asked. Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) client: Arc<Client>,
    plugin: Option<Arc<Plugin>>,
    /// Without a slash at its end.
    pub(super) server: String,
    /// The namespace we run in, if we run in the cluster.
    pub(super) namespace: Option<String>,
}

impl Access {
    pub(super) fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        if !settings.kubeconfig_file.is_empty() {
            return of_kubeconfig(&settings.kubeconfig_file, shared);
        }
        if !settings.api_server.is_empty() {
            return Self::of(settings.http.clone(), &settings.api_server, None);
        }
        in_cluster(&shared.environment)
    }

    fn of(http: http_client::Settings, server: &str, namespace: Option<String>) -> Result<Self, Fault> {
        let client = Arc::new(Client::new(http)?);
        Ok(Self { client, plugin: None, server: server.trim_end_matches('/').to_owned(), namespace })
    }

    /// Sends, as who we are.
    pub(super) async fn execute(&self, mut request: Request) -> Result<Response, Fault> {
        if let Some(plugin) = &self.plugin {
            plugin.authorize(&mut request).await?;
        }
        let url = shown_url(request.url());
        let response = self.client.execute(request).await;
        let response = response.map_err(|source| Fault::Request { url, source })?;
        if let (Some(plugin), StatusCode::UNAUTHORIZED) = (&self.plugin, response.status()) {
            plugin.forget().await;
        }
        Ok(response)
    }
}

fn in_cluster(environment: &Environment) -> Result<Access, Fault> {
    let variables = (environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT"));
    let (Some(host), Some(port)) = variables else {
        return Err(Fault::Other(
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be \
             defined; outside of a cluster set api_server or kubeconfig_file"
                .to_owned(),
        ));
    };
    let account = environment.get(ACCOUNT_VARIABLE).unwrap_or(ACCOUNT.to_owned());
    let path = |name: &str| format!("{account}/{name}");
    let namespace = path("namespace");
    let namespace = std::fs::read_to_string(&namespace).map_err(|error| unreadable(&namespace, &error))?;
    let http = http_client::Settings {
        authorization: Some(Authorization { credentials_file: path("token"), ..Authorization::default() }),
        tls_config: TlsSettings { ca_file: path("ca.crt"), ..TlsSettings::default() },
        ..http_client::Settings::default()
    };
    let server = format!("https://{}", crate::meta::host_port(&host, port));
    Access::of(http, &server, Some(namespace.trim().to_owned()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Kubeconfig {
    clusters: Vec<Named>,
    contexts: Vec<Named>,
    users: Vec<Named>,
    current_context: String,
}

/// One element of a list, of which the one part that belongs to the list is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    cluster: Cluster,
    context: Context,
    user: User,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: String,
    certificate_authority_data: String,
    insecure_skip_tls_verify: bool,
    tls_server_name: String,
    proxy_url: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    client_certificate: String,
    client_certificate_data: String,
    client_key: String,
    client_key_data: String,
    token: Secret,
    #[serde(rename = "tokenFile")]
    token_file: String,
    username: String,
    password: Secret,
    exec: Option<Exec>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

fn of_kubeconfig(path: &str, shared: &Shared) -> Result<Access, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let wrong = |reason: String| Fault::Other(format!("{path}: {reason}"));
    let config: Kubeconfig = yaml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let find = |list: Vec<Named>, what: &str, name: &str| {
        let found = list.into_iter().find(|item| item.name == name);
        found.ok_or_else(|| wrong(format!("there is no {what} {name:?}")))
    };
    let context = find(config.contexts, "context", &config.current_context)?.context;
    let cluster = find(config.clusters, "cluster", &context.cluster)?.cluster;
    let user = if context.user.is_empty() {
        User::default()
    } else {
        find(config.users, "user", &context.user)?.user
    };
    if user.auth_provider.is_some() {
        let reason =
            format!("user {:?} has an auth-provider, which Kubernetes has removed; use exec", context.user);
        return Err(wrong(reason));
    }
    let directory = Path::new(path).parent().unwrap_or(Path::new(""));
    let http = client_settings(&cluster, &user, directory).map_err(wrong)?;
    let mut access = Access::of(http, &cluster.server, None)?;
    let plugin = user.exec.map(|exec| Plugin::new(exec, directory, Arc::clone(&shared.clock)));
    access.plugin = plugin.map(Arc::new);
    Ok(access)
}

fn client_settings(
    cluster: &Cluster,
    user: &User,
    directory: &Path,
) -> Result<http_client::Settings, String> {
    let data = |text: &str, what: &str| {
        let text: String = text.split_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        let bytes = bytes.map_err(|error| format!("{what} is no base64: {error}"))?;
        String::from_utf8(bytes).map_err(|_| format!("{what} is no PEM"))
    };
    // Data wins over a file.
    let file = |path: &str, data: &str| if data.is_empty() { path.to_owned() } else { String::new() };
    let tls_config = TlsSettings {
        ca: data(&cluster.certificate_authority_data, "certificate-authority-data")?,
        ca_file: file(&cluster.certificate_authority, &cluster.certificate_authority_data),
        cert: data(&user.client_certificate_data, "client-certificate-data")?,
        cert_file: file(&user.client_certificate, &user.client_certificate_data),
        key: Secret::new(data(&user.client_key_data, "client-key-data")?),
        key_file: file(&user.client_key, &user.client_key_data),
        server_name: cluster.tls_server_name.clone(),
        insecure_skip_verify: cluster.insecure_skip_tls_verify,
        ..TlsSettings::default()
    };
    let mut http = http_client::Settings {
        tls_config,
        proxy_url: cluster.proxy_url.clone(),
        ..http_client::Settings::default()
    };
    if !user.token.is_empty() || !user.token_file.is_empty() {
        let credentials_file = file(&user.token_file, user.token.reveal());
        let credentials = user.token.clone();
        http.authorization =
            Some(Authorization { credentials, credentials_file, ..Authorization::default() });
    } else if !user.username.is_empty() {
        let (username, password) = (user.username.clone(), user.password.clone());
        http.basic_auth = Some(BasicAuth { username, password, ..BasicAuth::default() });
    }
    http.set_directory(directory);
    http.check().map_err(|error| error.to_string())?;
    Ok(http)
}
