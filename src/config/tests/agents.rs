//! `agents` and `markdown`.

use expect_test::expect;

use super::super::*;
use super::{check, parse};

#[test]
fn an_agent_says_what_differs() {
    let text = "persona: {name: Ada, voice: slt, greeting: Hello}
llm: {url: 'http://127.0.0.1:1/v1', model: small, local: {threads: 3}}
agents:
  tutor:
    system_prompt: You teach.
    greeting: ''
    tools: [calculate]
    llm: {model: large, local: {step_ms: 9}, temperature: 0.5}
  plain:
";
    let config = parse(text).unwrap();
    let tutor = config.of_agent("tutor").unwrap();
    let Persona { name, system_prompt, voice, greeting, .. } = &tutor.persona;
    assert_eq!((name.as_str(), system_prompt.as_str(), voice.as_deref()), ("Ada", "You teach.", Some("slt")));
    assert_eq!(*greeting, None);
    let Llm { url, model, temperature, local, .. } = &tutor.llm;
    assert_eq!((url.as_str(), model.as_str(), *temperature), ("http://127.0.0.1:1/v1", "large", Some(0.5)));
    assert_eq!((local.threads, local.step_ms), (3, 9));
    assert_eq!(tutor.tools.builtin, ["calculate"]);
    assert_eq!(config.of_agent("plain").unwrap().persona, config.persona);
    assert_eq!(config.of_agent("default").unwrap(), config);
    assert_eq!(config.of_agent("nobody"), None);
    assert_eq!(config.agent_names().collect::<Vec<_>>(), ["default", "plain", "tutor"]);
}

#[test]
fn what_cannot_be_is_named_by_the_agents_own_key() {
    check(
        &[
            "agents: 7\n",
            "agents: {default: {voice: slt}}\n",
            "agents: {two words: {}}\n",
            "agents: {a: 7}\n",
            "agents: {a: {system_promt: x}}\n",
            "agents: {a: {facts: one}}\n",
            "agents: {a: {llm: small}}\n",
            "agents: {a: {llm: {modell: x}}}\n",
            "agents: {a: {llm: {max_new_tokens: many}}}\n",
            "agents:\n  a:\n    llm:\n      url: nowhere\n",
            "agents: {a: {name: ' '}}\n",
            "agents: {a: {tools: [now, fly]}}\n",
        ],
        expect![[r#"

            config.yml:1: agents: expected names with their settings below, found the number 7
            config.yml:1: agents.default: the agent `default` is the one of `persona`; change it there
            config.yml:1: agents.two words: not the name of an agent: 1 to 64 letters a to z, digits, - and _ (numbers in quotes)
            config.yml:1: agents.a: expected system_prompt, voice, llm …, found the number 7
            config.yml:1: agents.a.system_promt: unknown key; an agent has name, system_prompt, facts, greeting, voice, apology, tools, llm
            config.yml:1: agents.a.facts: expected a list of texts, found the text "one"
            config.yml:1: agents.a.llm: expected keys of llm below it, found the text "small"
            config.yml:1: agents.a.llm.modell: unknown key; the nearest valid one is llm.model
            config.yml:1: agents.a.llm.max_new_tokens: expected a whole number from 0 to 4294967295, found the text "many"
            config.yml:4: agents.a.llm.url: "nowhere" is not allowed; must be http:// or https://, a host, and the path
            config.yml:1: agents.a.name: " " is not allowed; must be a name
            config.yml:1: agents.a.tools: "fly" is not allowed; must be one of now, calculate, end_session (tools.builtin and tools.http)
        "#]],
    );
}

#[test]
fn markdown_needs_a_folder_an_agent_and_a_name_for_each_log() {
    check(
        &[
            "markdown: {vault_path: ''}\n",
            "markdown: {host: 'http://x'}\n",
            "markdown: {default_agent: nobody}\n",
            "markdown: {logged_subdir: ../out}\n",
            "markdown: {log_path: '{date}/{when}.md'}\n",
            "markdown: {log_path: ' '}\n",
            "markdown: {public_base_url: example.org}\n",
        ],
        expect![[r#"

            config.yml:1: markdown.vault_path: "" is not allowed; must be the path of a folder
            config.yml:1: markdown.host: "http://x" is not allowed; must be an IP address or a host name, without scheme, port and path, or null
            config.yml:1: markdown.default_agent: "nobody" is not allowed; must be one of default, or null
            config.yml:1: markdown.logged_subdir: "../out" is not allowed; must be a folder in the vault
            config.yml:1: markdown.log_path: there is no {when}; there is {date}, {time}, {agent}, {frontend}, {id}
            config.yml:1: markdown.log_path: must be the name of a file, as in {date}/{id}.md
            config.yml:1: markdown.public_base_url: "example.org" is not allowed; must be http:// or https://, a host and, if need be, a path; or empty
        "#]],
    );
    let read = |text: &str| {
        Config::parse(text, &Source::File("/srv/config.yml".into()), std::iter::empty()).unwrap().markdown
    };
    let markdown = read("markdown: {vault_path: v, public_base_url: 'https://a.example/'}\n");
    assert_eq!(markdown.vault_path, PathBuf::from("/srv/v"));
    assert_eq!(markdown.public_base_url, "https://a.example");
    let home = std::env::home_dir().unwrap();
    assert_eq!(read("markdown: {vault_path: ~/notes}\n").vault_path, home.join("notes"));
    let server = Server::default();
    assert_eq!(markdown.own_address(&server), None);
    assert_eq!(read("markdown: {host: '::1'}\n").own_address(&server), Some(("::1".to_owned(), 8003)));
    assert_eq!(read("markdown: {port: 9}\n").own_address(&server), Some(("127.0.0.1".to_owned(), 9)));
}
