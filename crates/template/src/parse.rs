//! Reads a template: tokens in, a tree for each named template out.
//!
//! A name must be known when it is used: a variable declared before, a function of the caller's library. Faults are
//! told in Go's words, with the line of the last token that was looked at.

use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::lex::{self, Keyword, Kind, Token};
use crate::tree::{Arm, Call, Node, Pipe, Range, Source, Tree};

mod pipeline;

/// How deep blocks and parentheses may nest.
const NESTING_MAX: usize = 100;

/// Reads `text`: the template `name`, and those it defines, in the order in which they end.
///
/// # Errors
/// If it is no template, or uses a function for which `knows` is false.
pub(crate) fn parse(name: &str, text: &str, knows: &dyn Fn(&str) -> bool) -> Result<Vec<Tree>, Error> {
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let mut parser = Parser {
        name,
        tokens: lex::tokens(text),
        at: 0,
        seen: 0,
        action_line: 0,
        variables: vec![Arc::from("$")],
        range_depth: 0,
        nesting: 0,
        source,
        trees: Vec::new(),
        knows,
    };
    parser.run()?;
    Ok(parser.trees)
}

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    /// The furthest token that was looked at: faults are told with its line.
    seen: usize,
    /// The line of the action that is being read; 0 outside of one.
    action_line: usize,
    variables: Vec<Arc<str>>,
    range_depth: usize,
    nesting: usize,
    source: Arc<Source>,
    trees: Vec<Tree>,
    knows: &'a dyn Fn(&str) -> bool,
}

/// How a list of nodes ended.
enum Ending {
    End,
    /// `{{else}}`, with `if` or `with` still to be read behind it or not.
    Else,
}

impl Ending {
    fn text(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Ending(Ending),
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> &Token<'a> {
        let at = self.at.min(self.tokens.len() - 1);
        self.seen = self.seen.max(at);
        &self.tokens[at]
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len());
        token
    }

    fn peek_non_space(&mut self) -> &Token<'a> {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
        self.peek()
    }

    fn next_non_space(&mut self) -> Token<'a> {
        self.peek_non_space();
        self.next()
    }

    fn fail<T>(&self, message: &str) -> Result<T, Error> {
        let line = self.tokens[self.seen].line;
        Err(Error::new(ErrorKind::Syntax, format!("template: {}:{line}: {message}", self.name)))
    }

    fn unexpected<T>(&self, token: &Token<'_>, context: &str) -> Result<T, Error> {
        if token.kind != Kind::Error {
            return self.fail(&format!("unexpected {} in {context}", describe(token)));
        }
        let mut message = token.text.to_string();
        if self.action_line != 0 && self.action_line != token.line {
            let word = if message.ends_with(" action") { "" } else { " in action" };
            message.push_str(&format!("{word} started at {}:{}", self.name, self.action_line));
        }
        self.fail(&message)
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token<'a>, Error> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut root = Vec::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim && self.define()? {
                continue;
            }
            match self.text_or_action()? {
                Item::Node(node) => root.push(node),
                Item::Ending(ending) => return self.fail(&format!("unexpected {}", ending.text())),
            }
        }
        self.add(Arc::from(self.name), root)
    }

    /// A name is given once, but for templates that say nothing.
    fn add(&mut self, name: Arc<str>, root: Vec<Node>) -> Result<(), Error> {
        let tree = Tree { name, source: self.source.clone(), root };
        match self.trees.iter_mut().find(|other| other.name == tree.name) {
            Some(other) if crate::tree::is_empty(&other.root) => *other = tree,
            Some(_) if !crate::tree::is_empty(&tree.root) => {
                let name = crate::format::quote(&tree.name);
                return self.fail(&format!("template: multiple definition of template {name}"));
            }
            Some(_) => {}
            None => self.trees.push(tree),
        }
        Ok(())
    }

    /// Reads `{{define "name"}}…{{end}}`, if that stands here. Only the top of a template defines others.
    fn define(&mut self) -> Result<bool, Error> {
        let before = self.at;
        self.next();
        if self.next_non_space().kind != Kind::Keyword(Keyword::Define) {
            self.at = before;
            return Ok(false);
        }
        let context = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        self.expect(Kind::RightDelim, context)?;
        self.definition(name, context)?;
        Ok(true)
    }

    /// The body of a definition, which sees no variables from around it.
    fn definition(&mut self, name: Arc<str>, context: &str) -> Result<(), Error> {
        let variables = std::mem::replace(&mut self.variables, vec![Arc::from("$")]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let action_line = std::mem::take(&mut self.action_line);
        let (root, ending) = self.list()?;
        if !matches!(ending, Ending::End) {
            return self.fail(&format!("unexpected {} in {context}", ending.text()));
        }
        self.variables = variables;
        self.range_depth = range_depth;
        self.action_line = action_line;
        self.add(name, root)
    }

    /// Nodes up to an `{{end}}` or `{{else}}`.
    fn list(&mut self) -> Result<(Vec<Node>, Ending), Error> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return self.fail(&format!("blocks nest more than {NESTING_MAX} deep"));
        }
        let mut nodes = Vec::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending) => {
                    self.nesting -= 1;
                    return Ok((nodes, ending));
                }
            }
        }
        self.fail("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Item, Error> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(Arc::from(&*token.text)))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item, Error> {
        let token = self.peek_non_space().clone();
        let Kind::Keyword(keyword) = token.kind else {
            return Ok(Item::Node(Node::Action(self.pipeline("command", Kind::RightDelim)?)));
        };
        self.next();
        Ok(Item::Node(match keyword {
            Keyword::Block => self.block()?,
            Keyword::Break => self.leave_range(Node::Break, "{{break}}")?,
            Keyword::Continue => self.leave_range(Node::Continue, "{{continue}}")?,
            Keyword::Define => return self.unexpected(&token, "command"),
            Keyword::Else => {
                let next = self.peek_non_space().kind;
                if !matches!(next, Kind::Keyword(Keyword::If | Keyword::With)) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Ending(Ending::Else));
            }
            Keyword::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Ending(Ending::End));
            }
            Keyword::If => {
                let (arms, otherwise) = self.branches("if", Keyword::If)?;
                Node::If(arms, otherwise)
            }
            Keyword::With => {
                let (arms, otherwise) = self.branches("with", Keyword::With)?;
                Node::With(arms, otherwise)
            }
            Keyword::Range => self.range()?,
            Keyword::Template => self.template()?,
        }))
    }

    fn leave_range(&mut self, node: Node, name: &str) -> Result<Node, Error> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, name);
        }
        if self.range_depth == 0 { self.fail(&format!("{name} outside {{{{range}}}}")) } else { Ok(node) }
    }

    /// The arms of an `if` or `with`. What an arm declares is known in those after it.
    fn branches(&mut self, context: &str, keyword: Keyword) -> Result<(Vec<Arm>, Option<Vec<Node>>), Error> {
        let known = self.variables.len();
        let mut arms = Vec::new();
        let otherwise = loop {
            let pipe = self.pipeline(context, Kind::RightDelim)?;
            let (body, ending) = self.list()?;
            arms.push(Arm { pipe, body });
            if matches!(ending, Ending::End) {
                break None;
            }
            if self.peek().kind == Kind::Keyword(keyword) {
                self.next();
                continue;
            }
            break Some(self.last_list()?);
        };
        self.variables.truncate(known);
        Ok((arms, otherwise))
    }

    /// What stands behind `{{else}}`.
    fn last_list(&mut self) -> Result<Vec<Node>, Error> {
        let (nodes, ending) = self.list()?;
        match ending {
            Ending::End => Ok(nodes),
            Ending::Else => self.fail("expected end; found {{else}}"),
        }
    }

    fn range(&mut self) -> Result<Node, Error> {
        let known = self.variables.len();
        let pipe = self.pipeline("range", Kind::RightDelim)?;
        self.range_depth += 1;
        let (body, ending) = self.list()?;
        self.range_depth -= 1;
        let otherwise = match ending {
            Ending::End => None,
            Ending::Else => Some(self.last_list()?),
        };
        self.variables.truncate(known);
        Ok(Node::Range(Range { pipe, body, otherwise }))
    }

    fn template(&mut self) -> Result<Node, Error> {
        let context = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let pipe = if self.peek_non_space().kind == Kind::RightDelim {
            self.next();
            None
        } else {
            Some(self.pipeline(context, Kind::RightDelim)?)
        };
        Ok(Node::Template(Call { pos: token.pos, name, pipe }))
    }

    /// `{{block "name" pipeline}}…{{end}}`: a definition and its use.
    fn block(&mut self) -> Result<Node, Error> {
        let context = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let pipe: Pipe = self.pipeline(context, Kind::RightDelim)?;
        self.definition(name.clone(), context)?;
        Ok(Node::Template(Call { pos: token.pos, name, pipe: Some(pipe) }))
    }

    fn template_name(&mut self, token: &Token<'_>, context: &str) -> Result<Arc<str>, Error> {
        match token.kind {
            Kind::String | Kind::RawString => match crate::literal::unquote(&token.text) {
                Some(name) => Ok(Arc::from(name)),
                None => self.fail("invalid syntax"),
            },
            _ => self.unexpected(token, context),
        }
    }
}

/// A token as errors name it.
fn describe(token: &Token<'_>) -> String {
    match token.kind {
        Kind::Eof => "EOF".to_owned(),
        Kind::Error => token.text.to_string(),
        Kind::Dot | Kind::Nil | Kind::Keyword(_) => format!("<{}>", token.text),
        _ if token.text.chars().count() > 10 => {
            format!("{}...", crate::format::quote(&token.text.chars().take(10).collect::<String>()))
        }
        _ => crate::format::quote(&token.text),
    }
}
