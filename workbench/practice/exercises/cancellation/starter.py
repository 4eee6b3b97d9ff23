async def research(connect, questions):
    """Ask all questions at once over one connection; return the answers in their order."""
    connection = await connect()
    answers = [await connection.ask(question) for question in questions]
    await connection.close()
    return answers
