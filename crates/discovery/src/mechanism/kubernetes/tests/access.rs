//! Ways to the API server.

use super::super::access::Access;
use super::super::{Settings, objects::Kind};
use crate::mechanism::Configured;
use crate::testing::{Reply, Server, settings, shared};

fn write(path: &std::path::Path, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test's own temporary file")]
    std::fs::write(path, text).expect("written");
}

#[tokio::test]
async fn a_kubeconfig_file_says_where_and_who() {
    let server = Server::start(|_| Reply::json("{}")).await;
    let directory = tempfile::tempdir().expect("a directory");
    write(&directory.path().join("token"), "from a file\n");
    let config = |user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: two\n\
             clusters:\n- name: c\n  cluster: {{server: '{}/base/'}}\n- name: other\n  cluster: {{server: 'https://x'}}\n\
             contexts:\n- name: one\n  context: {{cluster: other, user: u}}\n- name: two\n  context: {{cluster: c, user: u, namespace: n}}\n\
             users:\n- name: u\n  user: {user}\n",
            server.url
        )
    };
    for (user, want) in [
        ("{token: abc}", "Bearer abc"),
        ("{tokenFile: token}", "Bearer from a file"),
        ("{username: u, password: s}", "Basic dTpz"),
    ] {
        write(&directory.path().join("config"), &config(user));
        let mut section: Settings = settings("{role: pod, kubeconfig_file: config}");
        section.check().expect("valid");
        section.set_directory(directory.path());
        let access = Access::new(&section, &shared(&[])).expect(user);
        assert_eq!(access.server, format!("{}/base", server.url));
        let url = http_client::Url::parse(&access.server).expect("a URL");
        access.execute(access.client.get(url)).await.expect("an answer");
        let asked = server.asked("/base");
        assert_eq!(asked.last().map(|ask| ask.header("authorization")), Some(want), "{user}");
    }
    for (user, want) in [
        ("{auth-provider: {name: gcp}}", "has an auth-provider, which Kubernetes has removed; use exec"),
        ("{client-certificate-data: '!'}", "client-certificate-data is no base64"),
    ] {
        write(&directory.path().join("config"), &config(user));
        let mut section: Settings = settings("{role: pod, kubeconfig_file: config}");
        section.set_directory(directory.path());
        let error = Access::new(&section, &shared(&[])).expect_err(user);
        assert!(error.to_string().contains(want), "{error}");
    }
}

#[tokio::test]
async fn a_program_gives_tokens_until_they_end_or_are_refused() {
    let server = Server::start(|ask| match ask.header("authorization") {
        "Bearer t2" => Reply::json("{}"),
        _ => Reply::of(401, "Unauthorized"),
    })
    .await;
    let directory = tempfile::tempdir().expect("a directory");
    // Each run gives the next token.
    write(
        &directory.path().join("give"),
        "echo x >> \"$RUNS\"\n\
         test \"$1\" = fail && { echo 'not logged in' >&2; exit 3; }\n\
         n=$(wc -l < \"$RUNS\" | tr -d ' ')\n\
         case \"$KUBERNETES_EXEC_INFO\" in *client.authentication.k8s.io/v1*) ;; *) exit 4;; esac\n\
         echo '{\"kind\": \"ExecCredential\", \"status\": {\"token\": \"t'$n'\", \"expirationTimestamp\": \"2999-01-01T00:00:00Z\"}}'\n",
    );
    let runs = directory.path().join("runs");
    let config = |argument: &str| {
        format!(
            "current-context: x\nclusters: [{{name: c, cluster: {{server: '{}'}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['{}', {argument}], \
             env: [{{name: RUNS, value: '{}'}}], interactiveMode: Never, provideClusterInfo: false}}}}}}]\n",
            server.url,
            directory.path().join("give").display(),
            runs.display(),
        )
    };
    let path = directory.path().join("config");
    let section: Settings = settings(&format!("{{role: pod, kubeconfig_file: '{}'}}", path.display()));
    write(&path, &config("token"));
    let access = Access::new(&section, &shared(&[])).expect("a plugin");
    let url = http_client::Url::parse(&server.url).expect("a URL");
    let ask =
        async || access.execute(access.client.get(url.clone())).await.expect("an answer").status().as_u16();
    assert_eq!(
        [ask().await, ask().await, ask().await],
        [401, 200, 200],
        "refused once, then a new one, which is kept"
    );
    assert_eq!(std::fs::read_to_string(&runs).expect("runs").lines().count(), 2);

    write(&path, &config("fail"));
    let access = Access::new(&section, &shared(&[])).expect("a plugin");
    let error = access.execute(access.client.get(url.clone())).await.expect_err("no token").to_string();
    assert!(error.starts_with("sh: exit status: 3: not logged in"), "{error}");
}

#[test]
fn in_the_cluster_the_service_account_says_who_and_the_environment_where() {
    let directory = tempfile::tempdir().expect("a directory");
    let testdata = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../http_client/testdata");
    let authority = std::fs::read_dir(testdata).expect("a directory").flatten().map(|entry| entry.path());
    let authority = authority
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name == "ca.pem" || name == "ca.crt"));
    let authority = std::fs::read_to_string(authority.expect("certificates for tests")).expect("read");
    write(&directory.path().join("ca.crt"), &authority);
    write(&directory.path().join("token"), "abc");
    write(&directory.path().join("namespace"), "monitoring\n");
    let account = directory.path().to_string_lossy().into_owned();
    let variables = [
        ("KUBERNETES_SERVICE_HOST", "fd00::1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        ("KYMO_KUBERNETES_SERVICE_ACCOUNT", &account),
    ];
    let section: Settings = settings("{role: pod, namespaces: {own_namespace: true, names: [b]}}");
    let access = Access::new(&section, &shared(&variables)).expect("in a cluster");
    assert_eq!(access.server, "https://[fd00::1]:443");
    let scopes = section.scopes(super::Role::Pod, &access);
    let namespaces: Vec<&str> = scopes.iter().map(|scope| scope.namespace.as_str()).collect();
    assert_eq!(namespaces, ["b", "monitoring"]);
    assert!(scopes.iter().all(|scope| scope.kind == Kind::Pod));
    let error = Access::new(&section, &shared(&[])).expect_err("not in a cluster");
    assert!(error.to_string().contains("set api_server or kubeconfig_file"), "{error}");
}
