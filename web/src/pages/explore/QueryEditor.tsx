// The PromQL editor: completion, colours, errors where they are.
import {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
  completionStatus,
  selectedCompletion,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { linter, type Diagnostic } from '@codemirror/lint';
import { EditorState, Prec, StateEffect, StateField } from '@codemirror/state';
import { EditorView, keymap, placeholder } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { useEffect, useLayoutEffect, useRef } from 'react';

import { askServer, completeKymo } from '../../lib/kymoql';
import type { ErrorPlace } from '../../lib/promql';
import './editor.css';

/** What the server said about this very text; typing makes it void. */
const setServerError = StateEffect.define<ErrorPlace | null>();
const serverError = StateField.define<ErrorPlace | null>({
  create: () => null,
  update: (value, transaction) => {
    for (const effect of transaction.effects) if (effect.is(setServerError)) return effect.value;
    return transaction.docChanged ? null : value;
  },
});

const colors = syntaxHighlighting(
  HighlightStyle.define([
    { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], class: 'pq-keyword' },
    { tag: [tags.function(tags.variableName), tags.standard(tags.name)], class: 'pq-function' },
    { tag: [tags.string], class: 'pq-string' },
    { tag: [tags.number, tags.literal], class: 'pq-number' },
    { tag: [tags.labelName], class: 'pq-label' },
    { tag: [tags.comment, tags.lineComment], class: 'pq-comment' },
    { tag: [tags.invalid], class: 'pq-invalid' },
  ]),
);

/**
 * Enter takes the completion that is chosen, unless it is what stands there already, or the list opened only this
 * moment: then whoever types meant to run.
 */
function completeOr(editor: EditorView, run: (editor: EditorView) => boolean): boolean {
  if (completionStatus(editor.state) !== 'active') return run(editor);
  const label = selectedCompletion(editor.state)?.label ?? '';
  const { head } = editor.state.selection.main;
  const written = editor.state.sliceDoc(Math.max(0, head - label.length), head);
  if (written !== label && acceptCompletion(editor)) return true;
  closeCompletion(editor);
  return run(editor);
}

export interface QueryEditorProps {
  value: string;
  label: string;
  promql: PromQLExtension;
  error: ErrorPlace | null;
  focusFirst?: boolean;
  onChange: (text: string) => void;
  /** Enter; the text is handed over, for a state update may still be on its way. */
  onRun: (text: string) => void;
}

export default function QueryEditor(props: QueryEditorProps) {
  const { value, label, promql, error, focusFirst = false } = props;
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  useLayoutEffect(() => {
    latest.current = props;
  });

  useEffect(() => {
    if (!host.current) return undefined;
    const check = promql.getLinter().promQL();
    const run = (editor: EditorView) => {
      latest.current.onRun(editor.state.doc.toString());
      return true;
    };
    const made = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          Prec.highest(
            keymap.of([
              { key: 'Enter', run: (editor) => completeOr(editor, run) },
              { key: 'Mod-Enter', run },
              { key: 'Shift-Enter', run: insertNewlineAndIndent },
              // Outside of completion Tab leaves the editor, as on any page.
              { key: 'Tab', run: acceptCompletion },
            ]),
          ),
          keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
          history(),
          closeBrackets(),
          bracketMatching(),
          autocompletion({ activateOnTyping: true, maxRenderedOptions: 60, icons: false }),
          promql.asExtension(),
          EditorState.languageData.of(() => [{ autocomplete: completeKymo }]),
          colors,
          serverError,
          linter(
            (editor): readonly Diagnostic[] | Promise<readonly Diagnostic[]> => {
              const place = editor.state.field(serverError);
              if (place)
                return [{ from: place.from, to: place.to, message: place.message, severity: 'error' }];
              if (editor.state.doc.length === 0) return [];
              return Promise.resolve(check(editor)).then((found) =>
                askServer(editor.state.doc.toString(), found),
              );
            },
            {
              delay: 600,
              needsRefresh: (update) =>
                update.startState.field(serverError) !== update.state.field(serverError),
            },
          ),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({
            'aria-label': label,
            spellcheck: 'false',
            autocapitalize: 'off',
          }),
          placeholder('A PromQL query, such as rate(node_network_receive_bytes_total[5m])'),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = made;
    if (focusFirst) made.focus();
    return () => {
      made.destroy();
      view.current = null;
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- made once; what changes is dispatched below
  }, [promql]);

  useEffect(() => {
    const editor = view.current;
    if (!editor || editor.state.doc.toString() === value) return;
    editor.dispatch({
      changes: { from: 0, to: editor.state.doc.length, insert: value },
      selection: { anchor: value.length },
    });
  }, [value]);

  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const length = editor.state.doc.length;
    const valid = error !== null && error.to <= length ? error : null;
    editor.dispatch({ effects: setServerError.of(valid) });
  }, [error]);

  return <div ref={host} className="query-editor" data-testid="query-editor" />;
}
