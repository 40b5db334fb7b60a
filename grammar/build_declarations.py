"""Declarations: the rest of what `quell.grammar.build` begins."""

from __future__ import annotations

from lark import Token

from quell.grammar import literals, tree
from quell.grammar.build import Expressions, Items, Part


class Builder(Expressions):
    """One method per rule of policy.lark; see `quell.grammar.build`."""

    def entity(self, items: Items) -> tree.Entity:
        return tree.Entity(items[1], items[3] or (), span=self._span(items))

    def negative_number(self, items: Items) -> tree.Number:
        return tree.Number(-self._literal(items[1], literals.number), span=self._span(items))

    def plain_type(self, items: Items) -> tree.TypeName:
        return tree.TypeName(items[0].name, items[2], (), items[4] is not None, span=self._span(items))

    def enum_type(self, items: Items) -> tree.TypeName:
        values = tuple(t.plain or "" for t in items[3])
        return tree.TypeName("one of", None, values, items[5] is not None, span=self._span(items))

    def _path(self, token: Token) -> tree.Path:
        return tree.Path(self._literal(token, literals.path), span=self.at(token))

    def field(self, items: Items) -> tree.FieldDecl:
        return tree.FieldDecl(items[0], items[1], self._path(items[3]), items[5], span=self._span(items))

    def shape(self, items: Items) -> tree.Shape:
        return tree.Shape(items[1], tuple(items[2:]), span=self._span(items))

    def when_path(self, items: Items) -> Part:
        return Part("when", (self._path(items[1]), items[3]), self._span(items))

    def event(self, items: Items) -> tree.EventDecl:
        wire = next((self._plain(i) for i in items if type(i) is Token and i.type == "STRING"), None)
        when = tuple(i.content for i in items if type(i) is Part)
        shapes: tuple[tree.Ident, ...] = next((i for i in items if type(i) is tuple), ())
        fields = tuple(i for i in items if type(i) is tree.FieldDecl)
        return tree.EventDecl(items[1], wire, when, shapes, fields, span=self._span(items))

    def parameter(self, items: Items) -> tree.Parameter:
        return tree.Parameter(items[0], items[2], span=self._span(items))

    def parameters(self, items: Items) -> Part:
        return Part("parameters", tuple(items[1::2]), self._span(items))

    def let(self, items: Items) -> tree.Let:
        parameters = items[2].content if items[2] else None
        return tree.Let(items[1], parameters, items[4], span=self._span(items))

    def column(self, items: Items) -> tree.Column:
        return tree.Column(items[0], items[1], span=self._span(items))

    columns = Expressions.names

    def list(self, items: Items) -> tree.ListDecl:
        return tree.ListDecl(
            items[1], self._plain(items[3]), items[5], items[7] or (), span=self._span(items)
        )

    def model_input(self, items: Items) -> Part:
        return Part("input", (items[0], items[2]), self._span(items))

    def model_gives(self, items: Items) -> Part:
        return Part("gives", items[1], self._span(items))

    def model_gate(self, items: Items) -> Part:
        return Part("when", items[1], self._span(items))

    def model_wait(self, items: Items) -> Part:
        return Part("wait", items[1], self._span(items))

    def model(self, items: Items) -> tree.Model:
        clauses = items[5:]
        inputs = tuple(c.content for c in clauses if c.key == "input")
        said = self._once([c for c in clauses if c.key != "input"], "this model")
        return tree.Model(
            items[1],
            self._plain(items[4]),
            items[3] is not None,
            inputs,
            said.get("gives", ()),
            said.get("when"),
            said.get("wait"),
            span=self._span(items),
        )

    def points(self, items: Items) -> tree.Points:
        points = self._literal(items[1], literals.number)
        return tree.Points(-points if items[0] else points, items[3], items[5], span=self._span(items))

    def score(self, items: Items) -> tree.Score:
        return tree.Score(items[1], tuple(items[2:]), span=self._span(items))

    def verdicts(self, items: Items) -> tree.Verdicts:
        ladder = tuple(i for i in items if type(i) is tree.Ident)
        failure = items[-1].content if type(items[-1]) is Part else None
        return tree.Verdicts(items[2] or (), ladder, failure, span=self._span(items))

    def on_failure(self, items: Items) -> Part:
        return Part("on failure", items[2], self._span(items))

    # -------------------------------------------------------------- rules

    def limit(self, items: Items) -> tree.Limit:
        return tree.Limit(self._count(items[1], 1), items[3] or (), items[5], span=self._span(items))

    def verdict(self, items: Items) -> tree.Verdict:
        return tree.Verdict(items[0], limit=items[1], span=self._span(items))

    def set_label(self, items: Items) -> tree.SetLabel:
        return tree.SetLabel(
            items[1], self._plain(items[2]), items[4], limit=items[5], span=self._span(items)
        )

    def remove_label(self, items: Items) -> tree.RemoveLabel:
        return tree.RemoveLabel(items[1], self._plain(items[2]), limit=items[3], span=self._span(items))

    def send(self, items: Items) -> tree.Send:
        return tree.Send(self._plain(items[1]), items[2], limit=items[3], span=self._span(items))

    def rule_target(self, items: Items) -> tree.Target:
        return tree.Target("rule", items[0].name, span=self._span(items))

    def tag_target(self, items: Items) -> tree.Target:
        return tree.Target("tag", self._plain(items[1]).plain or "", span=self._span(items))

    def all_target(self, items: Items) -> tree.Target:
        return tree.Target("all", span=self._span(items))

    targets = Expressions.names

    def exempt(self, items: Items) -> tree.Exempt:
        return tree.Exempt(items[2], limit=items[3], span=self._span(items))

    def on_clause(self, items: Items) -> Part:
        return Part("on", items[1], self._span(items))

    def when_clause(self, items: Items) -> Part:
        return Part("when", items[1], self._span(items))

    def then_clause(self, items: Items) -> Part:
        return Part("then", tuple(items[1:]), self._span(items))

    def because_clause(self, items: Items) -> Part:
        return Part("because", items[1], self._span(items))

    def mode_clause(self, items: Items) -> Part:
        return Part("mode", items[1], self._span(items))

    def rollout_clause(self, items: Items) -> Part:
        span = self._span(items)
        share = self._literal(items[1], literals.percent)
        return Part("rollout", tree.Rollout(share, items[3], span=span), span)

    def tag_clause(self, items: Items) -> Part:
        return Part("tag", items[1], self._span(items))

    def owner_clause(self, items: Items) -> Part:
        return Part("owner", self._plain(items[1]), self._span(items))

    def severity_clause(self, items: Items) -> Part:
        return Part("severity", items[1], self._span(items))

    def formerly_clause(self, items: Items) -> Part:
        return Part("formerly", items[1], self._span(items))

    def rule(self, items: Items) -> tree.Rule:
        said = self._once(items[2:], "this rule")
        return tree.Rule(
            items[1],
            said.get("on", ()),
            said.get("when"),
            said.get("then", ()),
            said.get("because"),
            said.get("mode"),
            said.get("rollout"),
            said.get("tag", ()),
            said.get("owner"),
            said.get("severity"),
            said.get("formerly", ()),
            span=self._span(items),
        )

    # -------------------------------------------------------------- tests

    def entity_ref(self, items: Items) -> tree.EntityRef:
        return tree.EntityRef(items[0], self._plain(items[1]), span=self._span(items))

    def given_label(self, items: Items) -> tree.GivenLabel:
        return tree.GivenLabel(self._plain(items[2]), items[4], items[6], span=self._span(items))

    def after_clause(self, items: Items) -> Part:
        return Part("after", items[1], self._span(items))

    def repeat_clause(self, items: Items) -> Part:
        return Part("repeat", (self._count(items[1], 1), items[3]), self._span(items))

    def injection(self, items: Items) -> tuple[tree.Ident, tree.Expr]:
        return items[0], items[2]

    def with_clause(self, items: Items) -> Part:
        return Part("with", tuple(items[1::2]), self._span(items))

    def given_event(self, items: Items) -> tree.GivenEvent:
        said = self._once(items[3:], "this step")
        repeat, every = said.get("repeat", (None, None))
        return tree.GivenEvent(
            items[1],
            items[2] or tree.Record((), span=items[1].span),
            said.get("after"),
            repeat,
            every,
            said.get("with", ()),
            span=self._span(items),
        )

    def once(self, items: Items) -> Part:
        return Part("times", 1, self._span(items))

    def never(self, items: Items) -> Part:
        return Part("times", 0, self._span(items))

    def n_times(self, items: Items) -> Part:
        return Part("times", self._count(items[0], 0), self._span(items))

    def first(self, items: Items) -> tree.Where:
        return tree.Where("first", span=self._span(items))

    def last(self, items: Items) -> tree.Where:
        return tree.Where("last", span=self._span(items))

    def nth(self, items: Items) -> tree.Where:
        return tree.Where("number", self._count(items[2], 1), span=self._span(items))

    def expect_verdict(self, items: Items) -> tree.ExpectVerdict:
        _, negated, name, _, rule, where = items
        return tree.ExpectVerdict(name, rule, negated is not None, where, span=self._span(items))

    def expect_fired(self, items: Items) -> tree.ExpectFired:
        _, negated, _, rule, where = items
        return tree.ExpectFired(rule, negated is not None, where, span=self._span(items))

    def expect_label(self, items: Items) -> tree.ExpectLabel:
        _, negated, _, label, _, ref, where = items
        return tree.ExpectLabel(self._plain(label), ref, negated is not None, where, span=self._span(items))

    def expect_send(self, items: Items) -> tree.ExpectSend:
        _, negated, _, sink, times, where = items
        count = times.content if times else None
        return tree.ExpectSend(self._plain(sink), count, negated is not None, where, span=self._span(items))

    def expect_value(self, items: Items) -> tree.ExpectValue:
        return tree.ExpectValue(items[3], items[1] is not None, items[4], span=self._span(items))

    def expect_message(self, items: Items) -> tree.ExpectMessage:
        _, negated, _, message, _, rule, where = items
        return tree.ExpectMessage(message, rule, negated is not None, where, span=self._span(items))

    def test(self, items: Items) -> tree.Test:
        return tree.Test(self._plain(items[1]), tuple(items[2:]), span=self._span(items))
