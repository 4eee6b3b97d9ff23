async def fan_out(client, prompts, limit):
    results = []
    for prompt in prompts:
        try:
            answer = await client.chat.completions.create(
                model="gpt-5.5", messages=[{"role": "user", "content": prompt}]
            )
            results.append(answer.choices[0].message.content)
        except Exception as error:
            results.append(error)
    return results
