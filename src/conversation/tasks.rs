//! The tasks of a session: what the model has noted down to be done.
//!
//! Their state is events ([`super::events::Task`]: the whole task as it is from then on). At a compaction it
//! becomes a system message, from which a later session reads it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::events::{Task, TaskStatus};

/// What a snapshot begins with.
pub const SNAPSHOT_HEAD: &str = "[Session TaskStore snapshot]";

/// Tasks of a session, at most: a model that makes more is going in circles.
const MAX_TASKS: usize = 200;
/// Characters of a title.
const MAX_TITLE_CHARS: usize = 400;

/// All tasks, by their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskStore(BTreeMap<u64, Task>);

/// What a tool wants of the tasks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    id: Option<u64>,
    title: Option<String>,
    status: Option<TaskStatus>,
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    tasks: Vec<Task>,
}

impl TaskStore {
    /// A task is as it says here.
    pub fn set(&mut self, task: Task) {
        self.0.insert(task.id, task);
    }

    /// There is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of a system message that holds all of it; `None` if there is nothing.
    pub fn snapshot(&self) -> Option<String> {
        let tasks: Vec<&Task> = self.0.values().collect();
        (!tasks.is_empty()).then(|| format!("{SNAPSHOT_HEAD}\n{}", json!({ "tasks": tasks })))
    }

    /// Takes the tasks out of such a message; `false`: it is none.
    pub fn restore(&mut self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(SNAPSHOT_HEAD) else { return false };
        let Ok(snapshot) = serde_json::from_str::<Snapshot>(rest.trim()) else { return false };
        self.0 = snapshot.tasks.into_iter().map(|task| (task.id, task)).collect();
        true
    }

    /// Runs a tool: what the model is told, and the task that has changed. The error is for the model.
    ///
    /// # Errors
    /// Arguments that cannot be, a task that is not there.
    pub fn run(&self, tool: &str, arguments: &str) -> Result<(String, Option<Task>), String> {
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        let wanted: Wanted = serde_json::from_str(arguments)
            .map_err(|error| format!("the arguments are not what this tool takes: {error}"))?;
        let title = |title: String| {
            let title = title.trim().to_owned();
            let fits = !title.is_empty() && title.chars().count() <= MAX_TITLE_CHARS;
            if fits { Ok(title) } else { Err(format!("title: 1 to {MAX_TITLE_CHARS} characters")) }
        };
        let task = match tool {
            LIST => {
                let tasks: Vec<&Task> = self.0.values().collect();
                return Ok((json!({ "tasks": tasks }).to_string(), None));
            }
            CREATE => {
                if self.0.len() >= MAX_TASKS {
                    return Err(format!("there are {MAX_TASKS} tasks already"));
                }
                let id = self.0.last_key_value().map_or(0, |(id, _)| *id) + 1;
                let named = wanted.title.ok_or("title: it is missing").map_err(String::from)?;
                let status = wanted.status.unwrap_or(TaskStatus::Pending);
                Task { id, title: title(named)?, status }
            }
            _ => {
                let id = wanted.id.ok_or("id: it is missing").map_err(String::from)?;
                let known = self.0.get(&id).ok_or_else(|| format!("there is no task {id}"))?;
                let title = wanted.title.map_or_else(|| Ok(known.title.clone()), title)?;
                Task { id, title, status: wanted.status.unwrap_or(known.status) }
            }
        };
        Ok((json!(task).to_string(), Some(task)))
    }
}

/// The tools' names.
pub const CREATE: &str = "task_create";
/// Changes a task.
pub const UPDATE: &str = "task_update";
/// Lists them all.
pub const LIST: &str = "task_list";

/// Name, description and JSON schema of the tools.
pub fn tools() -> [(&'static str, &'static str, serde_json::Value); 3] {
    let status = json!({ "type": "string", "enum": ["pending", "in_progress", "completed"] });
    [
        (
            CREATE,
            "Notes down something that is to be done in this conversation.",
            json!({
                "type": "object",
                "properties": { "title": { "type": "string" }, "status": status.clone() },
                "required": ["title"],
                "additionalProperties": false,
            }),
        ),
        (
            UPDATE,
            "Changes a task that was noted down: how far it is, or what it says.",
            json!({
                "type": "object",
                "properties": { "id": { "type": "integer" }, "title": { "type": "string" }, "status": status },
                "required": ["id"],
                "additionalProperties": false,
            }),
        ),
        (
            LIST,
            "Lists all tasks of this conversation.",
            json!({ "type": "object", "properties": {}, "additionalProperties": false }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the tools one after the other; what each told.
    fn run(store: &mut TaskStore, calls: &[(&str, &str)]) -> Vec<String> {
        let mut told = vec![];
        for (tool, arguments) in calls {
            told.push(match store.run(tool, arguments) {
                Ok((answer, changed)) => {
                    changed.into_iter().for_each(|task| store.set(task));
                    answer
                }
                Err(error) => format!("error: {error}"),
            });
        }
        told
    }

    #[test]
    fn tasks_are_made_changed_and_listed() {
        let mut store = TaskStore::default();
        let told = run(
            &mut store,
            &[
                (LIST, ""),
                (CREATE, r#"{"title": " Call the lift company "}"#),
                (CREATE, r#"{"title": "Water the plants", "status": "in_progress"}"#),
                (UPDATE, r#"{"id": 1, "status": "completed"}"#),
                (UPDATE, r#"{"id": 7, "status": "completed"}"#),
                (UPDATE, r#"{"status": "completed"}"#),
                (CREATE, r#"{"title": "  "}"#),
                (CREATE, r#"{"name": "x"}"#),
                (LIST, "{}"),
            ],
        );
        assert_eq!(told[0], r#"{"tasks":[]}"#);
        assert_eq!(told[1], r#"{"id":1,"title":"Call the lift company","status":"pending"}"#);
        assert_eq!(told[3], r#"{"id":1,"title":"Call the lift company","status":"completed"}"#);
        assert_eq!(told[4], "error: there is no task 7");
        assert_eq!(told[5], "error: id: it is missing");
        assert!(told[6].starts_with("error: title: 1 to"), "{}", told[6]);
        assert!(told[7].contains("unknown field `name`"), "{}", told[7]);
        assert!(told[8].contains("Water the plants") && told[8].contains("in_progress"), "{}", told[8]);
    }

    #[test]
    fn a_snapshot_is_read_again() {
        let mut store = TaskStore::default();
        assert_eq!(store.snapshot(), None);
        run(&mut store, &[(CREATE, r#"{"title": "a\n\"b\""}"#), (CREATE, r#"{"title": "c"}"#)]);
        let mut restored = TaskStore::default();
        assert!(restored.restore(&store.snapshot().unwrap()));
        assert_eq!(restored, store);
        let before = restored.clone();
        for none in
            ["", "[Session TaskStore snapshot]", "[Session TaskStore snapshot]\n{\"tasks\": 3}", "hello"]
        {
            assert!(!restored.restore(none), "{none}");
        }
        assert_eq!(restored, before);
        // Numbers go on where they were.
        assert!(run(&mut restored, &[(CREATE, r#"{"title": "d"}"#)])[0].starts_with(r#"{"id":3"#));
    }
}
