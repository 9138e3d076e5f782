"""What an error is about, whatever language the server speaks."""

from __future__ import annotations

import pytest

from hybrid_sync.blame import at_raise, function_in, functions_in
from hybrid_sync.rest.answers import server_error

# What the server writes of a function, by language, as its catalogs of messages have it (PostgreSQL 15).
LINES = {
    "en": "PL/pgSQL function %s line 3 at %s", "cs": "PL/pgSQL funkce %s řádek 3 na %s",
    "de": "PL/pgSQL-Funktion %s Zeile 3 bei %s", "el": "συνάρτηση PL/pgSQL %s γραμμή 3 στο %s",
    "es": "función PL/pgSQL %s en la línea 3 en %s", "fr": "fonction PL/pgSQL %s, ligne 3 à %s",
    "it": "funzione PL/pgSQL %s riga 3 a %s", "ja": "PL/pgSQL関数%sの3行目 - %s",
    "ka": "PL/pgSQL ფუნქცია %s ხაზზე 3 %s-სთან", "ko": 'PL/pgSQL 함수 "%s" 의 3번째 %s',
    "pl": "funkcja PL/pgSQL %s, wiersz 3 w %s", "pt_BR": "função PL/pgSQL %s linha 3 em %s",
    "ru": "функция PL/pgSQL %s, строка 3, оператор %s", "sv": "PL/pgSQL-funktion %s rad 3 vid %s",
    "tr": "%s PL/pgSQL fonksiyonu, 3. satır, %s içinde", "uk": "Функція PL/pgSQL %s рядок 3 в %s",
    "vi": "Hàm PL/pgSQL %s dòng 3 tại %s",
}  # fmt: skip
STATEMENTS = [
    'SQL statement "{}"', "SQL-Anweisung »{}«", "sentencia SQL: «{}»", "instruction SQL « {} »", 'SQL文 "{}"',
    'PL/pgSQL assignment "{}"', "PL/pgSQL-Zuweisung »{}«", "asignación PL/pgSQL «{}»", 'PL/pgSQL 지정: "{}"',
]  # fmt: skip


def line(language: str, function: str, at: str) -> str:
    if language == "zh_CN":
        return f"在{at}的第3行的PL/pgSQL函数{function}"
    return LINES[language] % (function, at)


@pytest.mark.parametrize("language", [*LINES, "zh_CN"])
@pytest.mark.parametrize("function", ["public.not_now", "not_now", 'public."Größe x"', '"A(b".f'])
def test_a_function_is_named_in_every_language(language: str, function: str) -> None:
    said = line(language, f"{function}(integer,text)", "RAISE")
    if (language, function[:2]) != ("ko", '"A'):  # which has quotes around all of it
        assert function_in(said) == function
    assert at_raise(said)
    assert not at_raise(line(language, f"{function}(integer)", "SQL"))


@pytest.mark.parametrize("said", STATEMENTS)
def test_what_may_quote_values_names_no_function(said: str) -> None:
    for quoted in ("select f('secret(x)')", "x := secret(1)", "insert into t values ('PL/pgSQL secret(')"):
        assert function_in(said.format(quoted)) is None


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("language", [*LINES, "zh_CN"])
def test_functions_that_call_each_other_are_named_and_nothing_that_they_quote(language: str, statement: str) -> None:
    secret = line(language, "public.secret()", "SQL")
    frames = [
        statement.format(f"insert into t values ('\n{secret}\n')"), line(language, "public.helper(text)", "SQL"),
        statement.format("select helper('x')"), line(language, "public.guard()", "PERFORM"),
        statement.format("update public.t\n set n = 1"), line(language, "hybrid_sync.apply()", "SQL"),
    ]  # fmt: skip
    assert functions_in("\n".join(frames)) == ["public.helper", "public.guard"]
    assert functions_in("\n".join(frames[-2:])) == ["hybrid_sync.apply"]
    assert functions_in(frames[0]) == functions_in("") == []


@pytest.mark.parametrize("statement", STATEMENTS[:5])
@pytest.mark.parametrize("language", [*LINES, "zh_CN"])
def test_by_rest_an_error_within_a_function_is_told_from_one_of_the_statement_itself(
    language: str, statement: str
) -> None:
    say = line(language, "hybrid_sync_api.say(jsonb)", "EXECUTE")
    said = {"sqlstate": "40001", "message": "no", "statement": "update t\n set x = 1"}
    quoted = statement.format(said["statement"])
    own = server_error({**said, "context": f"{quoted}\n{say}"})
    assert (own.sqlstate, own.diag.context, own.diag.source_function) == ("40001", None, None)
    trigger = line(language, "public.guard()", "RAISE")
    inner = server_error({**said, "context": f"{trigger}\n{quoted}\n{say}"})
    assert (inner.diag.context, inner.diag.source_function) == (trigger, "exec_stmt_raise")
