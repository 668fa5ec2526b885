//! Who may be talked with: the persona, and the agents of the configuration. They are the same for every
//! frontend.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::server::Server;
use crate::config::{self, Config, DEFAULT_AGENT, Persona};
use crate::engines::Engines;
use crate::tools::{Registry, ToolError};

/// Somebody to talk with.
pub struct Agent {
    /// As clients call it.
    pub name: String,
    /// The configuration as it is for this agent.
    pub config: Arc<Config>,
    /// With its language model.
    pub engines: Arc<Engines>,
    /// What its language model may call.
    pub tools: Arc<Registry>,
    /// Where it differs from the persona; `None`: it is the persona.
    differs: Option<config::Agent>,
}

/// All of them, by name.
pub struct Agents(BTreeMap<String, Arc<Agent>>);

impl Agents {
    /// Those of the configuration. `engines` and `tools` are the persona's.
    ///
    /// # Errors
    /// A tool of an agent that cannot be made.
    pub fn new(
        config: &Arc<Config>,
        engines: &Arc<Engines>,
        tools: &Arc<Registry>,
    ) -> Result<Agents, ToolError> {
        let mut agents = BTreeMap::new();
        for name in config.agent_names() {
            let differs = config.agents.get(name).cloned();
            let (config, tools) = match (&differs, config.of_agent(name)) {
                (Some(differs), Some(whole)) => {
                    let own = differs.tools.as_ref().map(|_| Registry::new(&whole.tools)).transpose()?;
                    (Arc::new(whole), own.map_or_else(|| Arc::clone(tools), Arc::new))
                }
                _ => (Arc::clone(config), Arc::clone(tools)),
            };
            let (name, engines) = (name.to_owned(), engines.of_agent(name));
            agents.insert(name.clone(), Arc::new(Agent { name, config, engines, tools, differs }));
        }
        Ok(Agents(agents))
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Agent>> {
        self.0.get(name)
    }

    /// All names, the persona's first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.0.keys().map(String::as_str).filter(|name| *name != DEFAULT_AGENT);
        [DEFAULT_AGENT].into_iter().chain(others)
    }
}

impl Server {
    /// The agent that a client asks for, or the persona.
    pub fn agent(&self, name: Option<&str>) -> Option<Arc<Agent>> {
        self.agents.get(name.unwrap_or(DEFAULT_AGENT)).cloned()
    }

    /// Who an agent is, for a new session.
    pub fn persona_of(&self, agent: &Agent) -> Arc<Persona> {
        let persona = self.persona();
        match &agent.differs {
            Some(differs) => Arc::new(differs.persona(&persona)),
            None => persona,
        }
    }
}
