from functools import reduce
from operator import add

from langchain_openai import ChatOpenAI

from tests.real_model import MODEL, served_tokens


def test_a_real_model_counts_what_its_client_reports(local_llm: str):
    model = ChatOpenAI(
        base_url=f"{local_llm}/v1",
        api_key="unused",
        model=MODEL,
        max_tokens=8,
        stream_usage=True,
    )
    before = served_tokens(local_llm)

    answers = [model.invoke("hi"), reduce(add, model.stream("name a bird"))]

    after = served_tokens(local_llm)
    usages = [answer.usage_metadata for answer in answers]
    assert after.input - before.input == sum(u["input_tokens"] for u in usages)
    assert after.output - before.output == sum(u["output_tokens"] for u in usages)
